"""Super-resolution of Sentinel-2 patches with BSRNet, published weights or one's own."""

from pathlib import Path

from shared import cli
from shared.sr import bands, options, passage


def run(
    *,
    src: Path,
    dst: Path,
    weights: Path,
    scale: int = 2,
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
        weights: RRDBNet weights, .safetensors or .pth; all sizes of the network are read from it.
        scale: factor on height and width, 2 or 4; must be that of the weights.
        channel: which output of a three-channel network is the band: "first", "mean" or "luma".
        match: give each band of each patch the mean and deviation of its input.
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
        from shared.sr.networks import rrdb

        place = forward.place(device, precision)
        model = forward.ready(rrdb.load(weights, scale, channel), place)

        def enlarge(sen2: passage.Array) -> passage.Array:
            large = forward.singly(model, sen2, device=place, precision=precision)
            return bands.match(large, sen2) if match else large

        return enlarge

    passage.through(src, dst, load, scale=scale, batch=batch, shard=shard, side=2)


if __name__ == "__main__":
    cli.main(run)
