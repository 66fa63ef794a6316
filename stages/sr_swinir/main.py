"""Super-resolution of Sentinel-2 patches with SwinIR, published weights or one's own."""

from functools import partial
from pathlib import Path

from shared import cli
from shared.sr import options, stream

WINDOW = 8  # pixels a side: of the published networks


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
        weights: SwinIR weights, .safetensors or .pth; all sizes of the network are read from it.
        scale: factor on height and width; must be that of the weights.
        channel: which output of a three-channel network becomes the band.
    """

    def load() -> stream.Enlarge:
        from shared.sr import forward
        from stages.sr_swinir import network

        place = forward.prepare_device(inference.device, inference.precision)
        model = forward.prepare_network(network.load(weights, scale, channel), place)
        return partial(forward.enlarge_bands, model, device=place, precision=inference.precision)

    stream.enlarge_file(
        src, dst, load, scale=scale, batch=inference.batch, shard=inference.shard, side=WINDOW
    )


if __name__ == "__main__":
    cli.main(run)
