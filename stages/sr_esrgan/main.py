"""Super-resolution of Sentinel-2 patches with ESRGAN, three bands at a time."""

from pathlib import Path

from shared import cli
from shared.sr import options, passage


def run(
    *,
    src: Path,
    dst: Path,
    weights: Path,
    scale: int = 2,
    batch: int = 32,
    device: str = "auto",
    precision: str = "float32",
    shard: str = "1/1",
) -> None:
    """Enlarge the sen2 patches of one file, in row order; labels go with them.

    Args:
        src: patch file with sen2 (N, H, W, 10) reflectance, the ten bands of So2Sat.
        dst: patch file to write, sen2 (rows of this shard, H * scale, W * scale, 10) 0 … 2.8.
        weights: RRDBNet weights of 3 channels or of 1, .safetensors or .pth; its sizes are read
            from it.
        scale: factor on height and width, 2 or 4; must be that of the weights.
        batch: patches read, enlarged and written together.
        device: "auto", "cpu" or "cuda".
        precision: "float32"; "bfloat16", or on a GPU "float16", for the large products.
        shard: "i/n" does the i-th of n equal runs of rows; merge joins them.
    """
    options.check(scale=scale, batch=batch, device=device, precision=precision, scales=(2, 4))

    def load() -> passage.Enlarge:
        from stages.sr_esrgan import generator

        return generator.load(src, weights, scale, device=device, precision=precision)

    passage.through(src, dst, load, scale=scale, batch=batch, shard=shard, side=2)


if __name__ == "__main__":
    cli.main(run)
