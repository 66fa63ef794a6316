"""Shards of a row-wise product to the one file that an undivided run would have made."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import cli, lcz, patches
from shared.patches import attributes, hdf5
from stages.merge.shards import Shard, sort_shards

BLOCK_BYTES = 32 * 2**20  # rows in memory at once, about this much


def run(*, src: tuple[Path, ...], dst: Path) -> None:
    """Join shard files in the order of their rows, whatever the order they are given in.

    Args:
        src: all shards of one product, comma-separated; each a file that a row-wise stage wrote
            with --shard i/n, made with the same parameters from the same inputs.
        dst: file to write, with all rows of every dataset of the shards.
    """
    shards = sort_shards(src)
    try:
        _join(shards, dst)
    finally:
        for shard in shards:
            shard.file.close()


def _join(shards: list[Shard], dst: Path) -> None:
    """Copy what is stored, so that nothing is rounded twice; the Writer sums up the moments."""
    first = shards[0]
    fields = {name: _field(data) for name, data in first.rows().items()}
    derived = {f"{name}_moments" for name, field in fields.items() if field.layout}
    given: dict[str, Any] = {n: field for n, field in fields.items() if n not in derived}
    given["constants"] = {n: _constant(data) for n, data in first.constants().items()}
    row_bytes = sum(np.dtype(f.dtype).itemsize * int(np.prod(f.shape)) for f in fields.values())
    named = "classes" in first.file.attrs
    classes = attributes.read_texts(first.file, "classes") if named else ()
    with patches.Writer(dst, first.total, classes=classes, **given) as sink:
        _attributes(first, sink.file)
        sink.note_header()
        for rows in sink.todo(max(1, BLOCK_BYTES // max(1, row_bytes))):
            for name in fields:
                sink.file[name][rows] = read(shards, name, rows)
            sink.mark(rows, read(shards, "row", rows))


def read(shards: list[Shard], name: str, rows: slice) -> NDArray[Any]:
    """Stored values of these rows of the whole, from as many shards as they lie in."""
    parts = []
    for shard in shards:
        start, stop = max(rows.start, shard.start), min(rows.stop, shard.stop)
        if start < stop:
            parts.append(shard.block(name, start, stop))
    return np.concatenate(parts)


def _field(data: hdf5.Dataset) -> patches.Field:
    layout = None
    if data.name in lcz.PRESETS and "bands" in data.attrs:
        layout = attributes.read_layout(data, lcz.PRESETS[data.name], data.shape)
    return patches.Field(data.shape[1:], data.dtype.str, layout)


def _constant(data: hdf5.Dataset) -> patches.Constant:
    told = {key: value for key, value in data.attrs.items() if key != "constant"}
    return patches.Constant(data[()], told)


def _attributes(first: Shard, file: Any) -> None:
    """What the stage said about its file and data sets beyond what the Writer says."""
    for name in ("/", *first.rows()):
        given = first.attributes(name)
        for key in given.keys() - file[name].attrs.keys():
            file[name].attrs[key] = given[key]
    file.flush()


if __name__ == "__main__":
    cli.main(run)
