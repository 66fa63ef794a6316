"""Super-resolution of Sentinel-2 patches with ESRGAN, three bands at a time."""

from pathlib import Path
from typing import Literal

from shared import cli
from shared.sr import options, stream


def run(
    *,
    src: Path,
    dst: Path,
    weights: Path,
    scale: Literal[2, 4] = 2,
    inference: options.Inference = options.Inference(),
) -> None:
    """Enlarge the sen2 patches of one file, in row order; labels go with them.

    Args:
        src: patch file with sen2 (N, H, W, 10) reflectance, the ten bands of So2Sat.
        dst: patch file to write, sen2 (rows of this shard, H * scale, W * scale, 10) 0 … 2.8.
        weights: RRDBNet weights of 3 channels or of 1, .safetensors or .pth; its sizes are read
            from it.
        scale: factor on height and width; must be that of the weights.
    """

    def load() -> stream.Enlarge:
        from stages.sr_esrgan import generator

        return generator.load(
            src, weights, scale, device=inference.device, precision=inference.precision
        )

    stream.enlarge_file(
        src, dst, load, scale=scale, batch=inference.batch, shard=inference.shard, side=2
    )


if __name__ == "__main__":
    cli.main(run)
