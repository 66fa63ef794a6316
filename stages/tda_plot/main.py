"""tda-plot: what persistence images show, on chosen patches and on the mean of each class."""

import re
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from shared import cli, patches, progress
from shared.errors import StageError
from stages.tda_plot import files


def choose(labels: NDArray[np.intp], per_class: int, seed: int) -> list[int]:
    """Rows to show: so many of each class (fewer where it has fewer), class by class.

    Args:
        labels: (N,) zero-based classes.
        per_class: rows of each class.
        seed: of the choice.
    """
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    for k in np.unique(labels):
        rows = np.flatnonzero(labels == k)
        chosen += sorted(rng.permutation(rows)[:per_class].tolist())
    return chosen


def run(
    *,
    src: Path,
    features: Path,
    dst: Path,
    rows: tuple[int, ...] = (),
    per_class: Annotated[int, cli.between(0, 20)] = 1,
    bands: tuple[str, ...] = (),
    seed: Annotated[int, cli.at_least(0)] = 42,
) -> None:
    """Draw bands, their persistence diagrams and images, and mean images of the classes.

    Args:
        src: patch file with `label` and the modality that the features were made of.
        features: features file of tda with persistence images of all rows of src.
        dst: folder to write: patch-ROW.png for each chosen patch, classes-BAND.png for each band.
        rows: rows to show, zero-based; none lets `per_class` choose.
        per_class: patches to show of each class; 0 draws the classes alone.
        bands: names of the bands to show, such as B4,B8; none shows all.
        seed: of the choice of patches.
    """
    with patches.read(src, "label") as source, patches.read(features, "features", "label") as made:
        both = files.match_files(source, made)
        shown = _bands(both, bands)
        labels = source.labels()
        if wrong := [row for row in rows if not 0 <= row < source.total]:
            raise StageError(f"--rows: expected 0 to {source.total - 1}, found {wrong[0]}")
        chosen = list(dict.fromkeys(rows)) or choose(labels, per_class, seed)

        from stages.tda_plot import pictures

        dst.mkdir(exist_ok=True)
        tops = pictures.tops(both, chosen)
        with progress.bar(len(chosen) + len(shown), "pictures", unit="pictures") as bar:
            for row in chosen:
                title = f"{pictures.title(source.classes[labels[row]])} · row {row}"
                pictures.patch(dst / f"patch-{row:06d}.png", both, row, shown, tops, title)
                bar.update()
            means, counts = files.means(both)
            for band in shown:
                path = dst / f"classes-{_file_name(both.layout.bands, band)}.png"
                pictures.classes(path, both, band, means[:, band], counts)
                bar.update()


def _file_name(bands: tuple[str, ...], number: int) -> str:
    """A band's name without what no file name may have; its number where two would be the same."""
    plain = [re.sub(r"[^\w.+-]+", "_", band) for band in bands]
    return plain[number] if plain.count(plain[number]) == 1 else f"{plain[number]}-{number}"


def _bands(both: files.Pair, names: tuple[str, ...]) -> list[int]:
    """Numbers of the bands to show; StageError for a name that the file does not have."""
    known = both.layout.bands
    for name in names:
        if name not in known:
            raise StageError(f"--bands: expected names out of {', '.join(known)}, found {name!r}")
    return [known.index(name) for name in dict.fromkeys(names)] or list(range(len(known)))


if __name__ == "__main__":
    cli.main(run)
