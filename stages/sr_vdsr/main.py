"""Super-resolution of Sentinel-2 patches with VDSR, published weights or one's own."""

from functools import partial
from pathlib import Path

from shared import cli
from shared.sr import options, stream


def run(
    *,
    src: Path,
    dst: Path,
    weights: Path,
    scale: options.Scale = 2,
    channel: options.Channel = "first",
    inference: options.Inference = options.Inference(),
) -> None:
    """Enlarge the sen2 patches of one file, in row order; labels go with them.

    Args:
        src: patch file with sen2 (N, H, W, C) reflectance.
        dst: patch file to write, sen2 (rows of this shard, H * scale, W * scale, C) 0 … 2.8.
        weights: VDSR weights, .safetensors or .pth; all sizes of the network are read from it.
        scale: factor on height and width; should be one that the weights were trained
            for, which they do not say.
        channel: which output of a three-channel network becomes the band.
    """

    def load() -> stream.Enlarge:
        from shared.sr import forward
        from shared.sr.networks import vdsr

        place = forward.prepare_device(inference.device, inference.precision)
        model = forward.prepare_network(vdsr.load(weights, scale, channel), place)
        return partial(forward.enlarge_bands, model, device=place, precision=inference.precision)

    stream.enlarge_file(src, dst, load, scale=scale, batch=inference.batch, shard=inference.shard)


if __name__ == "__main__":
    cli.main(run)
