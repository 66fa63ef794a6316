"""EuroSAT's folders of pictures, in colours or in 13 bands, to patch files, split by class."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray

from shared import cli, patches
from shared.errors import StageError
from shared.progress import say
from stages.eurosat import split

if TYPE_CHECKING:
    from stages.eurosat.editions import Edition

BATCH = 128  # rows that are read, then written


def run(
    *,
    src: Path,
    dst: Path,
    split_lists: tuple[Path, ...] = (),
    partial: bool = False,
    validation_share: Annotated[float, cli.between(0, 1, below=True)] = 0.1,
    test_share: Annotated[float, cli.between(0, 1, above=True, below=True)] = 0.1,
    per_class: Annotated[int, cli.at_least(3)] | None = None,
    split_seed: Annotated[int, cli.at_least(0)] = 42,
    size: Annotated[int, cli.between(8, 1024)] | None = None,
) -> None:
    """Make patch files of a folder with one folder of 64 x 64 pictures per class.

    Args:
        src: folder of class folders, as EuroSAT is distributed: RGB (.jpg, .png) or 13 bands
            (.tif), or one folder that leads to them; class names are theirs.
        dst: folder to make, with training.h5 and testing.h5: rgb (N, S, S, 3) 0 to 255, or sen2
            (N, S, S, 13) reflectance; label (N, classes) one-hot; in training.h5 also validation
            (N,), 1 for rows that networks do not learn from but are chosen by.
        split_lists: the three lists NAME-train.txt, NAME-val.txt and NAME-test.txt with the name of
            one picture a line, or a folder with one such set; instead of the shares.
        partial: whether lists may name pictures that src lacks; these are left out.
        validation_share: share of each class for validation; 0 marks no rows.
        test_share: share of each class that goes to testing.h5.
        per_class: pictures of each class that are drawn before the split by shares, for a quick
            trial; all of a class that has fewer, and all without it.
        split_seed: decides the split by shares, and the order of the rows; no other seed does.
        size: pixels per side S to which pictures of other sizes are resized, bilinear with
            antialias; without it, only pictures of 64 x 64 are taken.
    """
    from stages.eurosat import folders, lists

    split.check_shares(validation_share, test_share)
    if split_lists and per_class:
        raise StageError("--per_class: lists say which pictures are taken; leave one of both out")
    files = lists.find_lists(split_lists) if split_lists else []
    fewest = 1 if files else 2 + (validation_share > 0)
    edition, classes = folders.list_pictures(src, fewest)
    rng = np.random.default_rng(split_seed)
    if files:
        names = {path: lists.read_list(path) for path in files}
        parts = lists.assign(src, classes, names, partial=partial)
    else:
        parts = split.draw(classes, validation_share, test_share, rng, per_class)
    rows = split.mix(parts, rng)
    dst.mkdir(exist_ok=True)
    marks = rows.validation if rows.validation.any() else None
    changes = write(dst / "training.h5", rows.training, tuple(classes), edition, size, marks)
    changes += write(dst / "testing.h5", rows.testing, tuple(classes), edition, size)
    if changes:
        counts = ", ".join(f"{count:,} {what}" for what, count in sorted(changes.items()))
        say(f"{src}: pictures that were converted: {counts}")


def write(
    path: Path,
    samples: list[split.Sample],
    classes: tuple[str, ...],
    edition: "Edition",
    size: int | None,
    marks: NDArray[np.uint8] | None = None,
) -> Counter[str]:
    """One patch file; rows that an earlier run wrote are kept. Returns what was changed how often.

    Args:
        path: file to write.
        samples: picture and class number of each row.
        classes: their names.
        edition: of the pictures.
        size: pixels per side to which they are resized, or None.
        marks: (N,) 1 for rows of validation; None marks none.
    """
    from stages.eurosat.sizes import SIDE

    side, changes = size or SIDE, Counter[str]()
    shape = (side, side, len(edition.layout.bands))
    fields: dict[str, Any] = {
        edition.dataset: patches.Field(shape, edition.dtype, edition.layout),
        "label": patches.Field((len(classes),), "uint8"),
    }
    columns: dict[str, Any] = {
        "label": np.eye(len(classes), dtype=np.uint8)[[number for _, number in samples]]
    }
    if marks is not None:
        fields["validation"], columns["validation"] = patches.Field((), "uint8"), marks
    writer = patches.Writer(path, len(samples), classes=classes, **fields)
    with writer as sink, ThreadPoolExecutor() as pool:
        for rows in sink.todo(BATCH):
            read = list(pool.map(lambda sample: edition.read(sample[0], size), samples[rows]))
            changes.update(change for _, made in read for change in made)
            values = {name: column[rows] for name, column in columns.items()}
            values[edition.dataset] = edition.layout.decode(np.stack([one for one, _ in read]))
            sink.put(rows, **values)
    return changes


if __name__ == "__main__":
    cli.main(run)
