"""Super-resolution of Sentinel-2 patches with EDSR, published weights or one's own."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from shared import cli
from shared.sr import options, stream


def run(
    *,
    src: Path,
    dst: Path,
    weights: Path,
    scale: options.Scale = 2,
    channel: options.Channel = "first",
    inputs: Literal["file", "unit"] = "file",
    residual: Annotated[float, cli.at_least(0)] = 0.0,
    inference: options.Inference = options.Inference(),
) -> None:
    """Enlarge the sen2 patches of one file, in row order; labels go with them.

    Args:
        src: patch file with sen2 (N, H, W, C) reflectance.
        dst: patch file to write, sen2 (rows of this shard, H * scale, W * scale, C) 0 … 2.8.
        weights: EDSR weights, .safetensors or .pth; all sizes of the network are read from it.
        scale: factor on height and width; must be that of the weights.
        channel: which output of a three-channel network becomes the band.
        inputs: images that a three-channel network was trained on: "file", in 0 … 255 less a mean,
            as its layout has it, or "unit", in 0 … 1 without a mean, as super-image does.
        residual: what the output of a residual block is multiplied by; 0 takes the published
            factor, 0.1 for networks of 256 features or more and 1 for narrower ones.
    """

    def load() -> stream.Enlarge:
        from shared.sr import forward
        from shared.sr.networks import edsr

        place = forward.prepare_device(inference.device, inference.precision)
        model = forward.prepare_network(edsr.load(weights, scale, channel, inputs, residual), place)
        return partial(forward.enlarge_bands, model, device=place, precision=inference.precision)

    stream.enlarge_file(
        src, dst, load, scale=scale, batch=inference.batch, shard=inference.shard, side=2
    )


if __name__ == "__main__":
    cli.main(run)
