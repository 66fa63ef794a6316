"""Sentinel-2 patches at a lower resolution: the input of Wald's protocol, whose truth is known."""

import dataclasses
from contextlib import closing
from pathlib import Path

from shared import cli, lcz, patches
from shared.errors import StageError
from shared.sr import options, stream, wald

BATCH = 256  # patches in memory at once: 42 MB as So2Sat has them


def run(*, src: Path, dst: Path, scale: options.Scale = 2, shard: str = "1/1") -> None:
    """Lower the resolution of the sen2 patches of one file as the sensor would, in row order.

    Args:
        src: patch file with sen2 (N, H, W, C) reflectance.
        dst: patch file to write, sen2 (rows of this shard, H // scale, W // scale, C); labels go
            with them.
        scale: factor by which height and width shrink; what fills no pixel is cut off.
        shard: "i/n" does the i-th of n equal runs of rows; merge joins them.
    """
    with patches.read(src, "sen2") as source:
        bands = wald.check_bands(source)
        total, height, width, channels = source["sen2"].shape
        if min(height, width) < scale:
            expected = f"at least {scale} pixels a side"
            raise StageError(f"{src}: sen2: expected {expected}, found {height} x {width}")
        layout = dataclasses.replace(source["sen2"].layout or lcz.SEN2, per_unit=lcz.SEN2.per_unit)
        field = patches.Field((height // scale, width // scale, channels), "uint16", layout)
        with patches.Writer(dst, total, shard, like=source, sen2=field) as sink, closing(
            stream.prefetch(sink.todo(BATCH), lambda rows: source["sen2"][rows])
        ) as blocks:  # fmt: skip
            for rows, sen2 in blocks:
                low = wald.degrade(wald.crop(sen2, scale), bands, scale)
                sink.put(rows, sen2=low.clip(layout.low, layout.high))


if __name__ == "__main__":
    cli.main(run)
