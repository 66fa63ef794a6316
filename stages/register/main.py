"""A network that finds, pixel by pixel, where a finer sensor shows what Sentinel-2 shows."""

from pathlib import Path
from typing import Annotated, Literal

from shared import cli
from stages.register.settings import Learning, Network, Settings


def run(
    *,
    src: Path,
    dst: Path,
    band: str | None = None,
    network: Network = Network(),
    learning: Learning = Learning(),
    device: Literal["auto", "cpu", "cuda"] = "auto",
    seed: Annotated[int, cli.at_least(0)] = 42,
) -> None:
    """Train a registration network on pairs of two sensors, without any true flow.

    Args:
        src: pair file; its training rows are learned from, those of validation choose the epoch,
            and those of testing are measured.
        dst: folder with registration.onnx, network.safetensors, registration.json, metrics.json,
            curves and a picture.
        band: name of the band that is compared, which low and high both have. None is B8, or B8A
            where low has that one only.
        device: auto (a GPU if there is one), cpu or cuda.
        seed: of the first weights, the order, the crops and the simulated warps.
    """
    from stages.register import training

    training.train_network(src, dst, Settings(band, network, learning, device, seed))


if __name__ == "__main__":
    cli.main(run)
