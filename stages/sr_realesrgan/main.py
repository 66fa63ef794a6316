"""Super-resolution of Sentinel-2 patches with Real-ESRGAN, published weights or one's own."""

from functools import partial
from pathlib import Path

from shared import cli
from shared.sr import bands, options, passage


def matched(enlarge: passage.Enlarge) -> passage.Enlarge:
    """The same, each band brought to the mean and deviation it had."""
    return lambda sen2: bands.match(enlarge(sen2), sen2)


def run(
    *,
    src: Path,
    dst: Path,
    weights: Path,
    scale: int = 4,
    channel: str = "luma",
    match: bool = True,
    batch: int = 32,
    device: str = "auto",
    precision: str = "float32",
    shard: str = "1/1",
) -> None:
    """Enlarge the sen2 patches of one file, in row order; labels go with them.

    Args:
        src: patch file with sen2 (N, H, W, C) reflectance.
        dst: patch file to write, sen2 (rows of this shard, H * scale, W * scale, C) 0 … 2.8.
        weights: Real-ESRGAN weights, .pth or .safetensors; sizes of the network are read from it.
        scale: factor on height and width, 2 or 4; must be that of the weights.
        channel: which output of a three-channel network is the band: "first", "mean" or "luma".
        match: bring each band of each patch to the mean and deviation it had.
        batch: patches read, enlarged and written together.
        device: "auto", "cpu" or "cuda".
        precision: "float32"; "bfloat16", or on a GPU "float16", for the large products.
        shard: "i/n" does the i-th of n equal runs of rows; merge joins them.
    """
    options.check(
        scale=scale, batch=batch, device=device, precision=precision, channel=channel, scales=(2, 4)
    )

    def load() -> passage.Enlarge:
        from shared.sr import forward
        from stages.sr_realesrgan import network

        place = forward.place(device, precision)
        model = forward.ready(network.load(weights, scale, channel), place)
        enlarge = partial(forward.singly, model, device=place, precision=precision)
        return matched(enlarge) if match else enlarge

    passage.through(src, dst, load, scale=scale, batch=batch, shard=shard, side=2)


if __name__ == "__main__":
    cli.main(run)
