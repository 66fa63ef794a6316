"""Super-resolution across sensors: a network that learns from another satellite's finer images."""

from pathlib import Path

from shared import cli
from shared.training import Seed
from stages.sisr_train.settings import (
    Adversary,
    Descent,
    Machine,
    Network,
    Settings,
    Targets,
    Views,
)


def run(
    *,
    src: Path,
    dst: Path,
    network: Network = Network(),
    targets: Targets = Targets(),
    views: Views = Views(),
    descent: Descent = Descent(),
    adversary: Adversary = Adversary(),
    seed: Seed = 42,
    machine: Machine = Machine(),
) -> None:
    """Train a super-resolution network on pairs of two sensors; keep the best epoch.

    Best is the one with the highest PSNR of the validation rows, the mean over bands, against the
    images that the mode makes.

    Args:
        src: pair file, as pairs writes it.
        dst: folder with network.onnx, network.safetensors, sisr.json, metrics, curves and a
            picture.
        seed: of weights, order, parts and flips.
    """
    settings = Settings(network, targets, views, descent, adversary, machine=machine, seed=seed)
    settings.check()

    from stages.sisr_train import training

    training.train_network(src, dst, settings)


if __name__ == "__main__":
    cli.main(run)
