"""So2Sat files to patch files: checked, selected, in 16 bits, with statistics of every band."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared import cli, models, patches, progress
from shared.errors import StageError
from shared.patches import shard_range
from stages.prepare import checks, cities, classes, images, layout, selection, speckle

BATCH = 128  # rows in memory at once: 19 MB as float64


def run(
    *,
    src: Path,
    dst: Path,
    table: Path | None = None,
    table_name: str = "",
    geo: Path | None = None,
    dtype: Literal["auto", "uint16", "float32"] = "auto",
    despeckle: bool = False,
    labels: classes.Form = "onehot",
    units: images.Units = images.Units(),
    jobs: Annotated[int, cli.at_least(0)] = 0,
    shard: str = "1/1",
) -> None:
    """Turn one file as So2Sat LCZ42 distributes it into a patch file.

    Args:
        src: HDF5 file, or MATLAB's -v7.3, with label (N, 17) one-hot and sen1 (N, H, W, 8),
            sen2 (N, H, W, 10) reflectance 0 to 2.8, or one of the two; may have city (N,) and
            validation (N,), 1 for rows of the validation split.
        dst: patch file to write, rows in the order of src or of the table.
        table: rows to take, in this order: a CSV file, or a MATLAB file with a table, whose columns
            Index (1-based) and Label (1 to 17) must agree with src.
        table_name: which variable of a MATLAB file, such as train_MS; needed if it has several.
        geo: HDF5 file as So2Sat's training_geo.h5, row by row of src: with city (N,), names or
            whole numbers, or with epsg (N,) and tfw (N, 6) in metres, whose clusters are cities.
        dtype: of sen2: uint16 in units of 1e-4 (sen1: float16), float32 (sen1 too), or auto, which
            is uint16 if rows from four places lose nothing by it. Every row is verified.
        despeckle: smooth every channel of sen1 by non-local means, in 256 levels of -0.5 to 0.5.
        labels: form of label in src: onehot (N, K); index0 or index1, (N,) or (N, 1) class numbers
            that begin with 0 or 1; largest, (N, K) shares whose largest is the class.
        jobs: threads that despeckle; 0 takes every core.
        shard: "i/n" does the i-th of n equal runs of rows; merge joins them.
    """
    with patches.read(src, "label") as source:
        pictures = images.find_images(source, units)
        if despeckle and "sen1" not in pictures.names:
            expected = "--despeckle: expected dataset 'sen1'"
            raise StageError(f"{src}: {expected}, found {list(pictures.names)}")
        known = classes.read_classes(source, labels)
        chosen = np.arange(source.total)
        if table:
            chosen = selection.rows_of(table, table_name, known.numbers)
        shard_range(len(chosen), shard)
        fields = layout.fields(pictures, known, layout.sen2_dtype(pictures, chosen, dtype))
        city = cities.find_cities(source, geo)
        columns: dict[str, NDArray[Any]] = {}
        if city:
            fields["city"] = patches.Field((), "int32", names=city.names)
            columns["city"] = city.numbers
        if (marks := patches.read_marks(source)) is not None:
            fields["validation"] = patches.Field((), "uint8")
            columns["validation"] = marks.astype(np.uint8)
        with speckle.open_cleaner(jobs) if despeckle else contextlib.nullcontext() as clean:
            _convert(
                pictures,
                chosen,
                fields,
                dst,
                known=known,
                columns=columns,
                shard=shard,
                clean=clean,
            )
        if shard_range(len(chosen), shard):
            _tell_levels(dst, pictures.names)


def _tell_levels(dst: Path, names: tuple[str, ...]) -> None:
    """How many 8-bit levels the bands of the product use."""
    with patches.read(dst) as made:
        for name in names:
            for line in models.describe_levels(made[name]):
                progress.say(line)


def _convert(
    pictures: images.Images,
    chosen: NDArray[np.integer],
    fields: dict[str, patches.Field],
    dst: Path,
    *,
    known: classes.Classes,
    columns: Mapping[str, NDArray[Any]],
    shard: str,
    clean: speckle.Clean | None,
) -> None:
    """Write block by block; from the first wrong row on only look, and tell all that is wrong.

    `columns` are further datasets of one number a row of src, by name.
    """
    faults = checks.Faults()
    writer = patches.Writer(
        dst, len(chosen), shard, classes=known.names, like=None, constants=None, **fields
    )
    # Closed when a block is refused, as a progress bar waits in it.
    with writer as sink, contextlib.closing(sink.todo(BATCH)) as todo:
        storage = {name: fields[name].dtype for name in pictures.names}
        if clean:
            storage["sen1"] = "float32"  # as read; what is written fits into any
        blocks = _blocks(pictures, chosen, todo, storage, faults)
        for rows, values in clean(blocks) if clean else blocks:
            values["label"] = known.onehot(chosen[rows])
            values |= {name: of[chosen[rows]] for name, of in columns.items()}
            if not faults.rows:
                sink.put(rows, source_rows=chosen[rows], **values)
        if faults.rows:
            raise StageError(f"{pictures.source.path}: {faults}")
        faults.tell_flat(pictures.source.path, len(chosen))


def _blocks(
    pictures: images.Images,
    chosen: NDArray[np.integer],
    todo: Iterable[slice],
    storage: dict[str, str],
    faults: checks.Faults,
) -> Iterator[speckle.Block]:
    """Physical values of the blocks before the first with a fault; looks at all."""
    for rows in todo:
        which = chosen[rows]
        values: dict[str, NDArray[Any]] = {}
        for name, dtype in storage.items():
            values[name] = pictures.read(name, which)
            checks.inspect_rows(values[name], name, dtype, which, faults)
        if not faults.rows:
            yield rows, values


if __name__ == "__main__":
    cli.main(run)
