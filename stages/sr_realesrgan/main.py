"""Super-resolution of Sentinel-2 patches with Real-ESRGAN, published weights or one's own."""

from functools import partial
from pathlib import Path
from typing import Literal

from shared import cli
from shared.sr import bands, options, stream


def match_output(enlarge: stream.Enlarge) -> stream.Enlarge:
    """The same, each band brought to the mean and deviation it had."""
    return lambda sen2: bands.match_statistics(enlarge(sen2), sen2)


def run(
    *,
    src: Path,
    dst: Path,
    weights: Path,
    scale: Literal[2, 4] = 4,
    channel: options.Channel = "luma",
    match: bool = True,
    inference: options.Inference = options.Inference(),
) -> None:
    """Enlarge the sen2 patches of one file, in row order; labels go with them.

    Args:
        src: patch file with sen2 (N, H, W, C) reflectance.
        dst: patch file to write, sen2 (rows of this shard, H * scale, W * scale, C) 0 … 2.8.
        weights: Real-ESRGAN weights, .pth or .safetensors; sizes of the network are read from it.
        scale: factor on height and width; must be that of the weights.
        channel: which output of a three-channel network becomes the band.
        match: bring each band of each patch to the mean and deviation it had.
    """

    def load() -> stream.Enlarge:
        from shared.sr import forward
        from stages.sr_realesrgan import network

        place = forward.prepare_device(inference.device, inference.precision)
        model = forward.prepare_network(network.load(weights, scale, channel), place)
        enlarge = partial(forward.enlarge_bands, model, device=place, precision=inference.precision)
        return match_output(enlarge) if match else enlarge

    stream.enlarge_file(
        src, dst, load, scale=scale, batch=inference.batch, shard=inference.shard, side=2
    )


if __name__ == "__main__":
    cli.main(run)
