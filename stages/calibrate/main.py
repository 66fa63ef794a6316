"""calibrate: scores of rows that nothing was trained on to the calibration of prediction sets."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from shared import cli, conformal, patches
from shared.errors import StageError
from shared.models import score_folders
from shared.progress import say

COVERAGES = (0.8, 0.9, 0.95)


def describe(
    scores: NDArray[np.floating],
    labels: NDArray[np.integer],
    cities: NDArray[np.integer],
    names: tuple[str, ...],
    coverage: float,
    method: conformal.Method,
) -> dict[str, Any]:
    """Promised against reached coverage, city by city, each judged by the rows of all others.

    Args:
        scores: (N, K) probabilities.
        labels: (N,) zero-based true classes.
        cities: (N,) numbers.
        names: of the cities by number, or none.
        coverage: promised share.
        method: of the sets.
    """
    found = conformal.leave_one_out(scores, labels, cities, coverage, method)
    rows = sum(city.rows for city in found)
    lines = [
        {"city": names[city.group] if city.group < len(names) else str(city.group)}
        | {"reached": city.reached, "within": city.is_within}
        | {key: value for key, value in dataclasses.asdict(city).items() if key != "group"}
        for city in found
    ]
    means = {
        name: sum(getattr(city, name) * city.rows for city in found) / rows
        for name in ("reached", "size", "single", "empty")
    }
    within = sum(city.is_within for city in found)
    return {"coverage": coverage, **means, "cities_within": within, "cities": lines}


def run(
    *,
    src: Path,
    test: Path,
    dst: Path,
    method: conformal.Method = "lac",
    coverage: tuple[Annotated[float, cli.between(0.01, 0.999)], ...] = COVERAGES,
) -> None:
    """Calibrate a classifier's prediction sets on whole cities that it was not trained on.

    Args:
        src: folder with the scores of the test split: of teacher, fusion, sumrule, distill or
            export, or the folder int8 of an export.
        test: patch file of these rows in the same order, with city, as a whole or its test split.
        dst: JSON file to write, which map takes as --calibration.
        method: lac gives the smallest sets for what is promised; aps sets that are never empty, and
            larger where the network is unsure.
        coverage: shares of rows for which the file says what is reached, city by city; map can
            promise any other one, too.
    """
    folder = score_folders.read(src)
    with patches.read(test, "label") as source:
        source.expect_classes(folder.classes)
        labels = source.labels()
        cities, names = read_cities(source)
    if not np.array_equal(labels, folder.labels):
        raise StageError(
            f"{test}: labels differ from {src / 'test_labels.npy'} ({len(labels)} and "
            f"{len(folder.labels)} rows); give the test file that the scores are of"
        )
    strange = conformal.strangeness(folder.scores, method)[np.arange(len(labels)), labels]
    calibration = conformal.Calibration(folder.classes, method, np.sort(strange))
    told = [
        describe(folder.scores, labels, cities, names, share, method)
        for share in dict.fromkeys(coverage)
    ]
    for line in told:
        say(
            f"{src}: promised {line['coverage']:.0%}, reached {line['reached']:.1%} in cities that "
            f"were left out, {line['size']:.2f} classes a set, {line['single']:.0%} of one class"
        )
    conformal.save(dst, calibration, coverages=told)


def read_cities(source: patches.Source) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """(N,) numbers of the cities, and their names where the file has some.

    Raises:
        StageError: none, or a single one.
    """
    if "city" not in source:
        raise StageError(
            f"{source.path}: expected dataset 'city', found {source.file.list_members()}; whole "
            "cities must be held out, as neighbouring rows are alike; prepare --geo adds it"
        )
    stored = source["city"]
    if stored.dtype.kind not in "iu":
        raise StageError(f"{source.path}: city: expected whole numbers, found {stored.dtype}")
    named = "names" in stored.stored.attrs
    names = patches.attributes.read_texts(stored.stored, "names") if named else ()
    cities = stored.raw(slice(0, source.total)).astype(np.intp)
    if (count := len(np.unique(cities))) < 2 or cities.min() < 0:
        raise StageError(
            f"{source.path}: city: expected two cities or more, numbered from 0, found {count}"
        )
    return cities, names


if __name__ == "__main__":
    cli.main(run)
