"""Super-resolution of Sentinel-2 patches with VDSR, published weights or one's own."""

from functools import partial
from pathlib import Path

from shared import cli
from shared.sr import options, passage


def run(
    *,
    src: Path,
    dst: Path,
    weights: Path,
    scale: int = 2,
    channel: str = "first",
    batch: int = 32,
    device: str = "auto",
    precision: str = "float32",
    shard: str = "1/1",
) -> None:
    """Enlarge the sen2 patches of one file, in row order; labels go with them.

    Args:
        src: patch file with sen2 (N, H, W, C) reflectance.
        dst: patch file to write, sen2 (rows of this shard, H * scale, W * scale, C) 0 … 2.8.
        weights: VDSR weights, .safetensors or .pth; all sizes of the network are read from it.
        scale: factor on height and width, 2 to 4; should be one the weights were
            trained for, which they do not say.
        channel: which output of a three-channel network is the band: "first", "mean" or "luma".
        batch: patches read, enlarged and written together.
        device: "auto", "cpu" or "cuda".
        precision: "float32"; "bfloat16", or on a GPU "float16", for the large products.
        shard: "i/n" does the i-th of n equal runs of rows; merge joins them.
    """
    options.check(scale=scale, batch=batch, device=device, precision=precision, channel=channel)

    def load() -> passage.Enlarge:
        from shared.sr import forward
        from shared.sr.networks import vdsr

        place = forward.place(device, precision)
        model = forward.ready(vdsr.load(weights, scale, channel), place)
        return partial(forward.singly, model, device=place, precision=precision)

    passage.through(src, dst, load, scale=scale, batch=batch, shard=shard)


if __name__ == "__main__":
    cli.main(run)
