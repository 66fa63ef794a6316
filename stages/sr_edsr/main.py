"""Super-resolution of Sentinel-2 patches with EDSR, published weights or one's own."""

from functools import partial
from pathlib import Path

from shared import cli
from shared.errors import StageError
from shared.sr import options, passage

INPUTS = ("file", "unit")


def run(
    *,
    src: Path,
    dst: Path,
    weights: Path,
    scale: int = 2,
    channel: str = "first",
    inputs: str = "file",
    residual: float = 0.0,
    batch: int = 32,
    device: str = "auto",
    precision: str = "float32",
    shard: str = "1/1",
) -> None:
    """Enlarge the sen2 patches of one file, in row order; labels go with them.

    Args:
        src: patch file with sen2 (N, H, W, C) reflectance.
        dst: patch file to write, sen2 (rows of this shard, H * scale, W * scale, C) 0 … 2.8.
        weights: EDSR weights, .safetensors or .pth; all sizes of the network are read from it.
        scale: factor on height and width, 2 to 4; must be that of the weights.
        channel: which output of a three-channel network is the band: "first", "mean" or "luma".
        inputs: images that a three-channel network was trained on: "file", in 0 … 255 less a mean,
            as its layout has it, or "unit", in 0 … 1 without a mean, as super-image does.
        residual: what the output of a residual block is multiplied by; 0 takes the published
            factor, 0.1 for networks of 256 features or more and 1 for narrower ones.
        batch: patches read, enlarged and written together.
        device: "auto", "cpu" or "cuda".
        precision: "float32"; "bfloat16", or on a GPU "float16", for the large products.
        shard: "i/n" does the i-th of n equal runs of rows; merge joins them.
    """
    options.check(scale=scale, batch=batch, device=device, precision=precision, channel=channel)
    if inputs not in INPUTS:
        raise StageError(f"--inputs: expected one of {INPUTS}, found {inputs!r}")
    if residual < 0:
        raise StageError(f"--residual: expected 0 or more, found {residual}")

    def load() -> passage.Enlarge:
        from shared.sr import forward
        from shared.sr.networks import edsr

        place = forward.place(device, precision)
        model = forward.ready(edsr.load(weights, scale, channel, inputs, residual), place)
        return partial(forward.singly, model, device=place, precision=precision)

    passage.through(src, dst, load, scale=scale, batch=batch, shard=shard, side=2)


if __name__ == "__main__":
    cli.main(run)
