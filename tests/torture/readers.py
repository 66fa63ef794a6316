"""How each stage reads each kind of HDF5 file: the stage itself, or what it does before it learns.

A reader is a stage in the sense of `shared.cli`, so that the digest, the record and the exit code
are those of real runs. What trains or takes seconds is replaced by the stage's own functions that
read.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.torture.places import Place

Run = Callable[..., None]


@dataclass(frozen=True)
class Reader:
    """One way to read one kind of file.

    Attributes:
        environment: stage whose environment has the packages.
        file: the good file that is damaged; all that lies in its first folder is copied with it.
        module: that has the function.
        function: what is run, as a stage.
        arguments: of the command line; {bad} is the damaged file, or the first folder of its path,
            {good} the folder of good ones.
        built: kind of built cases, see `tests.torture.built`; "" for mutations alone.
        dst: the product, below the folder of the case.
        share: of the cases of a campaign, as many times as another reader's; more for quick ones.
    """

    environment: str
    file: str
    module: str
    arguments: tuple[str, ...] = ("--src={bad}",)
    function: str = "run"
    built: str = ""
    dst: str = "product"
    share: int = 1

    def run(self) -> Run:
        """The function, imported now."""
        run: Run = getattr(importlib.import_module(self.module), self.function)
        return run

    def flags(self, good: Path, bad: Path) -> list[str]:
        """The command line without --dst."""
        return [argument.format(bad=bad, good=good) for argument in self.arguments]

    def product(self, place: Place) -> Path:
        """The product of a case."""
        return place.bad.parent / self.dst


def _stage(name: str, file: str, *arguments: str) -> Reader:
    return Reader(name, file, f"stages.{name}.main", arguments or ("--src={bad}",))


def _part(environment: str, file: str, function: str, *more: str) -> Reader:
    arguments = ("--src={bad}", *more)
    return Reader(environment, file, "tests.torture.parts", arguments, function)


# All read through one room: built cases are for those that are quick.
BUILT = ("prepare", "merge")
READERS = {
    "prepare": _stage("prepare", "raw.h5"),
    "prepare-gzip": _stage("prepare", "raw-gzip.h5"),
    "prepare-latest": _stage("prepare", "raw-latest.h5"),
    "prepare-matlab": _stage("prepare", "raw.mat"),
    "prepare-table": _stage("prepare", "table.mat", "--src={good}/raw.h5", "--table={bad}"),
    "prepare-geo": _stage("prepare", "geo.h5", "--src={good}/raw.h5", "--geo={bad}"),
    "prepare-city": _stage("prepare", "city.h5", "--src={good}/raw.h5", "--geo={bad}"),
    "merge": _stage("merge", "part-1.h5", "--src={bad},{good}/part-2.h5"),
    "sr-degrade": _stage("sr_degrade", "patches.h5"),
    "sr-degrade-gzip": _stage("sr_degrade", "patches-gzip.h5"),
    "sr-eval": _stage(
        "sr_eval", "x2.h5", "--src={good}/patches.h5", "--wald={good}/patches.h5",
        "--enlarged={bad}", "--rows=2",
    ),
    "tda": _stage("tda", "patches.h5", "--src={bad}", "--jobs=1", "--bins=4", "--sigma=1"),
    "tda-grid": _stage(
        "tda", "features.h5", "--src={good}/patches.h5", "--grid={bad}", "--jobs=1", "--bins=4",
        "--sigma=1",
    ),
    "sr-train": _part("sr_train", "patches.h5", "read_pairs"),
    "teacher": _part("teacher", "patches.h5", "read_split"),
    "fusion": _part("fusion", "features.h5", "read_features", "--beside={good}/features.h5"),
    "tda-plot": _part("tda_plot", "features.h5", "read_images", "--beside={good}/patches.h5"),
    "export": _part("export", "patches.h5", "read_calibration"),
    "explain": _part("explain", "patches.h5", "read_explained"),
    "voyager": _part("voyager", "patches.h5", "read_pictures"),
    "calibrate": _stage("calibrate", "patches.h5", "--src={good}/scores", "--test={bad}"),
    "audit": _stage("audit", "patches.h5", "--src={good}/scores", "--train={bad}", "--shown=2"),
    "report": _stage("report", "patches.h5"),
    "report-tda": _stage("report", "features.h5"),
}  # fmt: skip
READERS |= {name: replace(READERS[name], built="hdf5") for name in BUILT}
