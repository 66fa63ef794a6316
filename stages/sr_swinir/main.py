"""Super-resolution of Sentinel-2 patches with SwinIR, published weights or one's own."""

import dataclasses
from pathlib import Path

from shared import cli, lcz, patches
from shared.errors import StageError

CHOICES = {
    "channel": ("first", "mean", "luma"),
    "device": ("auto", "cpu", "cuda"),
    "precision": ("float32", "bfloat16"),
}


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
        weights: SwinIR weights, .safetensors or .pth; all sizes of the network are read from it.
        scale: factor on height and width; must be that of the weights.
        channel: which output of a three-channel network is the band: "first", "mean" or "luma".
        batch: patches read, enlarged and written together.
        device: "auto", "cpu" or "cuda".
        precision: "float32", or "bfloat16" for the large products.
        shard: "i/n" does the i-th of n equal runs of rows; merge joins them.
    """
    given = {"channel": channel, "device": device, "precision": precision}
    for name, value in given.items():
        if value not in CHOICES[name]:
            raise StageError(f"--{name}: expected one of {CHOICES[name]}, found {value!r}")
    if batch < 1:
        raise StageError(f"--batch: expected at least 1, found {batch}")
    with patches.read(src, "sen2") as source:
        total, height, width, bands = source["sen2"].shape
        layout = dataclasses.replace(source["sen2"].layout or lcz.SEN2, per_unit=lcz.SEN2.per_unit)
        field = patches.Field((height * scale, width * scale, bands), "uint16", layout)

        from stages.sr_swinir import network

        where = network.place(device)
        model = network.load(weights, scale).to(where)
        if min(height, width) < model.window_size:
            raise StageError(f"{src}: sen2: expected at least {model.window_size} pixels a side, "
                             f"found {height} x {width}")  # fmt: skip
        with patches.Writer(dst, total, shard, like=source, sen2=field) as sink:
            for rows in sink.todo(batch):
                large = network.upsample(
                    model, source["sen2"][rows], channel=channel, device=where,
                    bfloat16=precision == "bfloat16",
                )  # fmt: skip
                sink.put(rows, sen2=large.clip(layout.low, layout.high))


if __name__ == "__main__":
    cli.main(run)
