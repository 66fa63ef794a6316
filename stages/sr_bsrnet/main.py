"""Super-resolution of Sentinel-2 patches with BSRNet, published weights or one's own."""

from pathlib import Path
from typing import Literal

from shared import cli
from shared.sr import bands, options, stream


def run(
    *,
    src: Path,
    dst: Path,
    weights: Path,
    scale: Literal[2, 4] = 2,
    channel: options.Channel = "luma",
    match: bool = True,
    inference: options.Inference = options.Inference(),
) -> None:
    """Enlarge the sen2 patches of one file, in row order; labels go with them.

    Args:
        src: patch file with sen2 (N, H, W, C) reflectance.
        dst: patch file to write, sen2 (rows of this shard, H * scale, W * scale, C) 0 … 2.8.
        weights: RRDBNet weights, .safetensors or .pth; all sizes of the network are read from it.
        scale: factor on height and width; must be that of the weights.
        channel: which output of a three-channel network becomes the band.
        match: give each band of each patch the mean and deviation of its input.
    """

    def load() -> stream.Enlarge:
        from shared.sr import forward
        from shared.sr.networks import rrdb

        place = forward.prepare_device(inference.device, inference.precision)
        model = forward.prepare_network(rrdb.load(weights, scale, channel), place)

        def enlarge(sen2: stream.Array) -> stream.Array:
            large = forward.enlarge_bands(model, sen2, device=place, precision=inference.precision)
            return bands.match_statistics(large, sen2) if match else large

        return enlarge

    stream.enlarge_file(
        src, dst, load, scale=scale, batch=inference.batch, shard=inference.shard, side=2
    )


if __name__ == "__main__":
    cli.main(run)
