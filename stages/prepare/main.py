"""So2Sat files to patch files: checked, selected, in 16 bits, with statistics of every band."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared import cli, lcz, patches, progress
from shared.errors import StageError
from shared.shard import span
from stages.prepare import checks, selection

BATCH = 128  # rows in memory at once: 19 MB as float64
SAMPLE = 256  # rows that decide about --dtype auto
DTYPES = ("auto", "uint16", "float32")
IMAGES = ("sen1", "sen2")


def run(
    *,
    src: Path,
    dst: Path,
    table: Path | None = None,
    table_name: str = "",
    dtype: str = "auto",
    shard: str = "1/1",
) -> None:
    """Turn one file as So2Sat LCZ42 distributes it into a patch file.

    Args:
        src: HDF5 file with label (N, 17) one-hot and sen1 (N, H, W, 8), sen2 (N, H, W, 10)
            reflectance 0 to 2.8, or one of the two.
        dst: patch file to write, rows in the order of src or of the table.
        table: rows to take, in this order: a CSV file, or a MATLAB file with a table, whose columns
            Index (1-based) and Label (1 to 17) must agree with src.
        table_name: which variable of a MATLAB file, such as train_MS; needed if it has several.
        dtype: of sen2: uint16 in units of 1e-4 (sen1: float16), float32 (sen1 too), or auto, which
            is uint16 if evenly spaced rows lose nothing by it. Every row is verified.
        shard: "i/n" does the i-th of n equal runs of rows; merge joins them.
    """
    if dtype not in DTYPES:
        raise StageError(f"--dtype: expected one of {list(DTYPES)}, found {dtype!r}")
    with patches.read(src, "label") as source:
        names = [name for name in IMAGES if name in source]
        if not names:
            raise StageError(
                f"{src}: expected dataset 'sen1' or 'sen2', found {sorted(source.file)}"
            )
        for name in names:
            source[name]  # refused now: other channels, other rows than labels
        classes = _classes(source)
        chosen = selection.rows_of(table, table_name, classes) if table else np.arange(source.total)
        span(len(chosen), shard)
        fields = _fields(source, names, _sen2_dtype(source, chosen, dtype))
        _convert(source, chosen, fields, dst, shard)


def _classes(source: patches.Source) -> NDArray[np.intp]:
    """(N,) class numbers of all rows; StageError names the rows that are not one-hot."""
    faults, found = checks.Faults(), []
    for rows in source["label"].blocks():
        labels = source["label"].raw(rows)
        if labels.ndim != 2 or labels.shape[1] != len(source.classes):
            expected = f"(N, {len(source.classes)})"
            raise StageError(f"{source.path}: label: expected {expected}, found {labels.shape}")
        faults.add("label: not one-hot", ~checks.onehot(labels), np.arange(rows.start, rows.stop))
        found.append(labels.argmax(1))
    if faults.rows:
        raise StageError(f"{source.path}: {faults}")
    return np.concatenate(found)


def _sen2_dtype(source: patches.Source, chosen: NDArray[np.integer], dtype: str) -> str:
    """The storage of sen2; "auto" asks rows spread over the whole, so that all shards agree."""
    if dtype != "auto" or "sen2" not in source:
        return "uint16" if dtype == "auto" else dtype
    for rows in np.array_split(chosen[:: -(-len(chosen) // SAMPLE)], 4):
        if not len(rows):
            continue
        values = _physical(source, "sen2", rows)
        usual = np.isfinite(values) & (values >= 0) & (values <= checks.REFLECTANCE[1])
        if not checks.lossless(np.where(usual, values, 0.0)).all():
            progress.say(f"{source.path}: sen2 is no multiple of 1e-4: kept as float32")
            return "float32"
    return "uint16"


def _fields(source: patches.Source, names: list[str], dtype: str) -> dict[str, patches.Field]:
    fields = {"label": patches.Field((len(source.classes),), "uint8")}
    for name in names:
        rows = source[name]
        kind = dtype if name == "sen2" or dtype == "float32" else "float16"
        layout = replace(rows.layout or lcz.PRESETS[name], per_unit=lcz.PRESETS[name].per_unit)
        fields[name] = patches.Field(rows.shape[1:], kind, layout)
    return fields


def _physical(source: patches.Source, name: str, which: NDArray[np.integer]) -> NDArray[np.float64]:
    """(rows, H, W, C) float64 values: the file's own numbers, over its unit where it has one."""
    rows = source[name]
    values = selection.take(rows, which).astype(np.float64, copy=False)
    per_unit = rows.layout.per_unit if rows.layout else 1.0
    return values if per_unit == 1.0 else values / per_unit


def _convert(
    source: patches.Source,
    chosen: NDArray[np.integer],
    fields: dict[str, patches.Field],
    dst: Path,
    shard: str,
) -> None:
    """Write block by block; from the first wrong row on only look, and tell all that is wrong."""
    faults = checks.Faults()
    images = [name for name in fields if name in IMAGES]
    with patches.Writer(
        dst, len(chosen), shard, classes=source.classes, like=None, constants=None, **fields
    ) as sink:
        for rows in sink.todo(BATCH):
            which = chosen[rows]
            values = {name: _physical(source, name, which) for name in images}
            for name in images:
                checks.look(values[name], name, fields[name].dtype, which, faults)
            if not faults.rows:
                label = selection.take(source["label"], which)
                sink.put(rows, source_rows=which, label=label, **values)
        if faults.rows:
            raise StageError(f"{source.path}: {faults}")


if __name__ == "__main__":
    cli.main(run)
