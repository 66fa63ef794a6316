"""Every stage refuses what is wrong in one line, with exit code 2, and leaves all as it was.

Folders whose names are not UTF-8, of two lines, or full of commands are not wrong: it runs there.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from shared.sr.methods import load_all
from tests import hostile
from tests.e2e import hdf5_inputs, inputs
from tests.e2e.stage import Stage, warm
from tests.e2e.warm import UNABLE

SMALL = {
    "device": "cpu", "architecture": "test_resnet", "epochs": "1", "members": "1", "size": "32",
    "batch": "34",
}  # fmt: skip
PAIR = {"train": "train.h5", "test": "test.h5"}
STUDENT = {name: value for name, value in SMALL.items() if name != "members"}
METHODS = load_all()
# What runs: parameters, paths being names in the folder of inputs.
GOOD = {
    "demo": {"train_per_class": "1", "test_per_class": "1"},
    "city": {"size": "64", "district": "64"},
    "orthophoto": {"images": "3", "size": "512"},
    "two_sensors": {"sites": "3", "patches": "1", "size": "32"},
    "pairs": {"src": "sensors"},
    "sisr_benchmark_metrics": {"src": "pairs.h5"},
    "register": {"src": "pairs.h5", "width": "4", "depth": "1", "epochs": "1", "device": "cpu"},
    "sisr_eval": {"src": "pairs.h5", "networks": "resolver,other-resolver"},
    "sisr_export": {"src": "sisr"},
    "sisr_train": {"src": "pairs.h5", "registration": "registration",
                   "architecture": "carn-1x1x2g1", "epochs": "1", "device": "cpu"},
    "scene": {"src": "l1c.npy"},
    "scene_sr": {"src": "scene.h5", "model": "pair"},
    "landcover": {"src": "aerial"},
    "segment": {"train": "tiles.h5", "validation": "tiles.h5", "architecture": "pyramid-tiny",
                "epochs": "1", "crop": "32", "batch": "2", "device": "cpu"},
    "eurosat": {"src": "pictures"},
    "prepare": {"src": "raw.h5"},
    "merge": {"src": "part-1.h5,part-2.h5"},
    "sr_train": {"src": "train.h5", "steps": "1", "width": "8", "depth": "1", "heads": "2",
                 "batch": "4", "device": "cpu"},
    **{f"sr_{name}": {"src": "train.h5", "weights": f"{name}.safetensors", "device": "cpu",
                      "scale": str(method.variants[0])} for name, method in METHODS.items()},
    "weights": {"name": "edsr64_x2.pt", "mirror": "mirror"},
    "sr_degrade": {"src": "train.h5"},
    "sr_eval": {"src": "test.h5", "wald": "test.h5", "enlarged": "x2.h5"},
    "tda": {"src": "train.h5", "jobs": "1"},
    "teacher": PAIR | SMALL,
    "fusion": PAIR | SMALL,
    "sumrule": {"src": "scores-1,scores-2"},
    "compare": {"src": "scores-1,scores-2", "latency_runs": "0"},
    # A product that is larger than the full volume, which has room for 16 KiB.
    "calibrate": {"src": "scores-1", "test": "cities.h5",
                  "coverage": ",".join(f"0.{n}" for n in range(10, 99))},
    "audit": {"src": "scores-1", "train": "train.h5"},
    "distill": {**PAIR, "teacher": "scores-1", "baseline": "false", **STUDENT},
    "explain": {"src": "student", "test": "test.h5", "sample": "8", "occlusion": "16",
                "rows": "0,20"},
    "export": {"src": "student", **PAIR, "calibration_per_class": "1", "latency_runs": "1"},
    "voyager": {"src": "exported", **PAIR, "calibration": "200", "per_class_val": "1"},
    "map": {"src": "scene.h5", "model": "student"},
    "report": {"src": "train.h5"},
}  # fmt: skip
# Inputs that a stage can do without, as a broken one is made of them.
OPTIONAL = {
    "pairs": "pairs.h5",
    "grid": "features.h5",
    "geo": "geo.h5",
    "registration": "registration",
    "table": "table.csv",
    "weights": "swinir.safetensors",
}
PATHS = {
    "src",
    "model",
    "train",
    "validation",
    "test",
    "teacher",
    "wald",
    "enlarged",
    "mirror",
    "networks",
    *OPTIONAL,
}
# Patch files: prepare reads float64 as distributed, merge any row-wise product.
PATCHES = {
    "prepare": ("src",), "merge": ("src",), "sr_train": ("src",),
    **{f"sr_{name}": ("src",) for name in METHODS}, "sr_degrade": ("src",),
    "sr_eval": ("src", "wald", "enlarged"), "tda": ("src",), "teacher": ("train", "test"),
    "fusion": ("train", "test"), "distill": ("train", "test"), "explain": ("test",),
    "export": ("train", "test"), "voyager": ("train", "test"),
}  # fmt: skip
TRAINERS = {"teacher", "fusion", "distill"}  # they want both splits stored alike
UNLABELLED = {"sr_train"}  # learns from pixels alone
COPIES = {"merge"}  # looks at no pixel


class Case(NamedTuple):
    """One broken input of a stage.

    Attributes:
        stage: folder name.
        what: what is wrong, in a word.
        parameter: the one that is wrong.
        file: inside the parameter's folder; "" for a file.
        breaks: (good file, place for the broken one).
        message: pattern of the reason.
    """

    stage: str
    what: str
    parameter: str
    file: str
    breaks: Callable[[Path, Path], object]
    message: str


def incomplete(stage: str, name: str) -> Iterator[Case]:
    """HDF5 that lies elsewhere, is missing, in use, damaged or packed by what is not here."""
    for what, (breaks, message) in hdf5_inputs.KINDS.items():
        yield Case(stage, what, name, "", breaks, message)


def cases() -> Iterator[Case]:
    """Broken patch files for every stage that reads them, then each stage's other inputs."""
    for stage, parameters in PATCHES.items():
        edit = partial(inputs.edited, as_stored=stage == "merge")
        for name in parameters:
            yield Case(stage, "cut", name, "", inputs.cut, "not a complete HDF5 file")
            yield Case(stage, "names", name, "", edit(inputs.rename), "found|differ")
            yield Case(stage, "channels", name, "", edit(inputs.drop_channel), r"10\)|8\)|differ")
            nan = edit(inputs.add_nan)
            if stage in TRAINERS:
                nan = inputs.edited(inputs.add_nan_as_stored, as_stored=True)
            yield Case(stage, "nan", name, "", nan, r"NaN|differ")
            if stage not in UNLABELLED:
                yield Case(
                    stage, "onehot", name, "", edit(inputs.two_classes), "not one-hot|differ"
                )
            if stage != "merge":  # joins what other stages made, as it is stored
                yield from foreign(stage, name)
            yield from incomplete(stage, name)
            if stage not in COPIES:
                preview = hdf5_inputs.unneeded_links(nan)
                yield Case(stage, "nan and links", name, "", preview, r"NaN|differ")
                yield Case(stage, "flat", name, "", *hdf5_inputs.FLAT)
    yield from foreign("report", "src")
    for stage, name in (("tda", "grid"), ("prepare", "geo"), ("report", "src")):
        yield from incomplete(stage, name)
    for stage in ("explain", "export", "voyager"):
        yield Case(stage, "no onnx", "src", "student.onnx", inputs.text, "ONNX")
        yield Case(stage, "cut onnx", "src", "student.onnx", inputs.cut, "ONNX")
        yield Case(stage, "json", "src", "model.json", inputs.no_json, "not a model description")
    for what, file, breaks in (
        ("no onnx", "student.onnx", inputs.text), ("cut onnx", "student.onnx", inputs.cut),
        ("json", "model.json", inputs.no_json),
    ):  # fmt: skip
        yield Case("map", what, "model", file, breaks, "ONNX|not a model description")
    yield from incomplete("map", "src")
    yield Case("map", "cut", "src", "", inputs.cut, "not a complete HDF5 file")
    yield Case("map", "no scene", "src", "", inputs.other_kind, "expected a scene file")
    for name in ("out_of_fold_scores.npy", "train_labels.npy"):
        yield Case("audit", f"cut {name}", "src", name, inputs.cut, "not a complete NPY file")
    yield Case("audit", "json", "src", "metrics.json", inputs.no_json, "metrics.json")
    for what, spoil, message in (
        ("cut", inputs.cut, "not a complete HDF5 file"),
        ("names", inputs.edited(inputs.rename), "found"),
        ("onehot", inputs.edited(inputs.two_classes), "not one-hot"),
        ("numbers", inputs.edited(inputs.class_numbers), "prepare --labels index0"),
    ):
        yield Case("audit", what, "train", "", spoil, message)
    yield from incomplete("audit", "train")
    for stage in ("sumrule", "compare", "calibrate"):
        for name in ("test_scores.npy", "test_labels.npy"):
            yield Case(stage, f"cut {name}", "src", name, inputs.cut, "not a complete NPY file")
        yield Case(stage, "json", "src", "metrics.json", inputs.no_json, "metrics.json")
    for stage, parameter, name in (
        ("sumrule", "src", "test_scores.npy"),
        ("compare", "src", "test_scores.npy"),
        ("distill", "teacher", "train_logits.npy"),
        ("audit", "src", "out_of_fold_scores.npy"),
        ("export", "src", "test_logits.npy"),
    ):
        yield Case(stage, f"nan {name}", parameter, name, inputs.nan_npy, "NaN")
    yield Case(
        "distill", "cut npy", "teacher", "train_logits.npy", inputs.cut, "not a complete NPY"
    )
    for name in METHODS:
        yield Case(f"sr_{name}", "no weights", "weights", "", inputs.text, "weights")
    for stage in ("teacher", "fusion", "distill"):
        yield Case(stage, "no weights", "weights", "", inputs.text, "weights")
    yield Case("tda", "cut", "grid", "", inputs.cut, "not a complete HDF5 file")
    rename = hdf5_inputs.edited(lambda file, name: file.move(name, "other"))
    yield Case("tda", "no grid", "grid", "", rename, "expected dataset 'grid', found")
    yield Case("prepare", "no table", "table", "", inputs.text, "table")
    yield Case("eurosat", "picture", "src", "River/River_3.jpg", inputs.cut, "River_3.jpg")
    yield Case("eurosat", "no picture", "src", "River/River_3.jpg", inputs.text, "River_3.jpg")
    yield Case("scene", "cut", "src", "", inputs.cut, "not a complete file of numpy")
    yield Case("scene", "text", "src", "", inputs.text, "not a complete file of numpy")
    yield Case("landcover", "cut", "src", "images/1.tif", inputs.cut, "not a complete GeoTIFF")
    yield Case("landcover", "text", "src", "masks/1.tif", inputs.text, "not a complete GeoTIFF")
    archive = "DRAWN-002/DRAWN-002_2020-06-15_31UES_b2b3b4b8_05m.zip"
    yield Case("pairs", "cut", "src", archive, inputs.cut, "not a complete zip archive")
    yield Case(
        "pairs", "text", "src", "DRAWN-003/index.csv", inputs.text, "expected a column b2b3b4b8_10m"
    )
    for name in ("train", "validation"):
        yield Case("segment", "cut", name, "", inputs.cut, "not a complete HDF5 file")
        yield Case("segment", "mask", name, "", inputs.edited(inputs.no_class), "class numbers")
    no_mask = inputs.edited(lambda arrays: arrays.pop("mask"))
    yield Case("segment", "no mask", "train", "", no_mask, "expected dataset 'mask', found")
    yield from incomplete("segment", "train")
    yield Case("segment", "no weights", "weights", "", inputs.text, "weights")
    yield from incomplete("scene_sr", "src")
    yield Case("scene_sr", "cut", "src", "", inputs.cut, "not a complete HDF5 file")
    yield Case("scene_sr", "no scene", "src", "", inputs.other_kind, "expected a scene file")
    yield Case("scene_sr", "no onnx", "model", "pair.onnx", inputs.text, "not a usable ONNX file")
    yield Case("scene_sr", "cut onnx", "model", "pair.onnx", inputs.cut, "not a usable ONNX file")
    yield Case("scene_sr", "keys", "model", "pair.yaml", inputs.text, "expected exactly the keys")
    yield from incomplete("sisr_benchmark_metrics", "src")
    yield Case("sisr_benchmark_metrics", "cut", "src", "", inputs.cut, "not a complete HDF5 file")
    yield from incomplete("register", "src")
    yield Case("register", "cut", "src", "", inputs.cut, "not a complete HDF5 file")
    yield from incomplete("sisr_eval", "src")
    yield Case("sisr_eval", "cut", "src", "", inputs.cut, "not a complete HDF5 file")
    for what, file, breaks, message in (
        ("no onnx", "network.onnx", inputs.text, "ONNX"),
        ("cut onnx", "network.onnx", inputs.cut, "ONNX"),
        ("json", "sisr.json", inputs.no_json, "not a description of a network"),
    ):
        yield Case("sisr_eval", what, "networks", file, breaks, message)
    yield Case("sisr_eval", "cut onnx", "registration", "registration.onnx", inputs.cut, "ONNX")
    yield Case(
        "sisr_eval",
        "json",
        "registration",
        "registration.json",
        inputs.no_json,
        "not a registration",
    )
    yield from incomplete("sisr_train", "src")
    yield Case("sisr_train", "cut", "src", "", inputs.cut, "not a complete HDF5 file")
    yield Case("sisr_train", "no weights", "weights", "", inputs.text, "weights")
    for what, file, breaks, message in (
        ("cut onnx", "registration.onnx", inputs.cut, "not a usable ONNX file"),
        ("no onnx", "registration.onnx", inputs.text, "not a usable ONNX file"),
        ("json", "registration.json", inputs.no_json, "not a registration"),
    ):
        yield Case("sisr_train", what, "registration", file, breaks, message)
    yield from incomplete("sisr_export", "pairs")
    yield Case("sisr_export", "cut", "pairs", "", inputs.cut, "not a complete HDF5 file")
    yield Case("sisr_export", "no onnx", "src", "network.onnx", inputs.text, "ONNX")
    yield Case("sisr_export", "cut onnx", "src", "network.onnx", inputs.cut, "ONNX")
    yield Case("sisr_export", "json", "src", "sisr.json", inputs.no_json, "not a description")
    yield Case("report", "cut", "src", "", inputs.cut, "not a complete HDF5 file")


def foreign(stage: str, name: str) -> Iterator[Case]:
    """Patch files of other people: in other units, with other attributes, with class numbers."""
    edit = partial(inputs.edited, as_stored=stage in TRAINERS)
    yield Case(stage, "digital", name, "", edit(inputs.digital_numbers), "digital numbers")
    yield Case(stage, "no-data", name, "", edit(inputs.missing), "marks of missing data")
    yield Case(stage, "clip", name, "", inputs.clip_in_words, "attribute 'clip': expected true")
    if stage not in UNLABELLED:
        numbers = edit(inputs.class_numbers)
        yield Case(stage, "numbers", name, "", numbers, "prepare --labels index0")


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of inputs; never written to by a test."""
    folder = tmp_path_factory.mktemp("inputs")
    inputs.make(folder)
    return folder


@pytest.fixture(scope="session")
def warmed() -> Iterator[Callable[[str], Stage]]:
    """Stage by name; one is kept warm until another is asked for."""
    with ExitStack() as stack:
        last: list[Stage] = []

        def stage(name: str) -> Stage:
            if not last or last[0].name != name:
                stack.close()
                last[:] = [stack.enter_context(warm(name))]
            return last[0]

        yield stage


def arguments(stage: str, good: Path, **other: str) -> list[str]:
    """The command line of a stage, with other values for some parameters."""
    flags = []
    for name, value in (GOOD[stage] | other).items():
        if name in PATHS and name not in other:
            value = ",".join(str(good / part) for part in value.split(","))
        flags.append(f"--{name}={value}")
    return flags


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


def refused(stage: Stage, flags: list[str], dst: Path, volume: str = "", at: str = "") -> str:
    """The one line of a refused run; everything but progress and that line is a failure."""
    stage.start([*flags, f"--dst={dst}"], volume, at)
    status, stderr = stage.status(), stage.text("stderr")
    if volume and status == UNABLE:
        pytest.skip("this user may not mount a volume")
    lines = [line for line in re.split(r"[\r\n]+", stderr) if line.strip()]
    said = [line for line in lines if not re.search(r"\d+%\|", line)]
    assert status == 2, stderr
    assert lines[-1].startswith("error: "), stderr
    if volume:  # found late: what was logged until then does not count
        assert not re.search("Traceback|Warning|Exception ignored", stderr), stderr
        said = [line for line in said if line.startswith("error: ")]
    assert said == [lines[-1]], stderr
    assert stage.text("stdout") == ""
    return said[0]


def check(stage: Stage, flags: list[str], good: Path, tmp_path: Path, message: str) -> str:
    """Refused with this message, nothing left behind, nothing changed."""
    before = listing(good) | listing(tmp_path)
    line = refused(stage, flags, tmp_path / "new" / "product")
    assert re.search(message, line), line
    assert not (tmp_path / "new").exists()
    assert listing(good) | listing(tmp_path) == before
    return line


def misspelt(stage: Stage, _: str, good: Path, tmp_path: Path) -> None:
    flags = [*arguments(stage.name, good), "--sed=3"]
    check(stage, flags, good, tmp_path, "^error: --sed: no such flag")


def missing(stage: Stage, parameter: str, good: Path, tmp_path: Path) -> None:
    flags = arguments(stage.name, good, **{parameter: "no/such.h5"})
    message = f"^error: --{parameter}: no such file or folder: no/such.h5"
    check(stage, flags, good, tmp_path, message)


def broken(stage: Stage, case: Case, good: Path, tmp_path: Path) -> None:
    first, *others = (OPTIONAL | GOOD[case.stage])[case.parameter].split(",")
    bad = tmp_path / first
    if case.file:  # the rest of the folder is as it was
        shutil.copytree(good / first, bad)
    held = case.breaks(good / first / case.file, bad / case.file)
    value = ",".join([str(bad), *(str(good / other) for other in others)])
    flags = arguments(case.stage, good, **{case.parameter: value})
    line = check(stage, flags, good, tmp_path, case.message)
    del held
    assert str(bad) in line, line


def volume(stage: Stage, kind: str, good: Path, tmp_path: Path) -> None:
    before = listing(good)
    dst = tmp_path / "new" / "product"
    line = refused(stage, arguments(stage.name, good), dst, kind, str(tmp_path))
    left = stage.text("left").split()
    if "what is done is kept" in line:  # where a part was complete before the volume was full
        assert kind == "full"
        assert "product.partial" in left
        assert "product" not in left
    else:
        assert not left
    assert str(tmp_path) in line
    reason = "[Nn]o space left|File too large" if kind == "full" else "Read-only file system"
    assert re.search(reason, line), line
    assert listing(good) == before


def odd_names(stage: Stage, _: str, good: Path, tmp_path: Path) -> None:
    place = hostile.deeper(tmp_path)
    shutil.copytree(good, place / "in")
    dst = place / "out" / "product"
    stage.start([*arguments(stage.name, place / "in"), f"--dst={dst}"])
    status, heard = stage.status(), stage.text("stderr")
    assert status == 0, heard
    assert (stage.heard / "stdout").read_bytes() == os.fsencode(dst) + b"\n"
    assert dst.exists()
    assert hostile.is_calm(heard)
    assert {path.name for path in dst.parent.iterdir()} == {dst.name, f"{dst.name}.run.json"}


def trials() -> Iterator[tuple[str, str, Callable[..., None], object]]:
    """Stage, name, trial and its detail: all of one stage together."""
    for stage in GOOD:
        yield stage, "misspelt", misspelt, ""
        yield stage, "odd-names", odd_names, ""
        for name in sorted(GOOD[stage].keys() & PATHS):
            yield stage, f"missing-{name}", missing, name
        for case in cases():
            if case.stage == stage:
                yield stage, f"{case.what}-{case.parameter}", broken, case
        for kind in ("full", "read-only"):
            yield stage, kind, volume, kind


@pytest.mark.parametrize(
    ("name", "trial", "detail"),
    [pytest.param(n, trial, detail, id=f"{n}-{what}") for n, what, trial, detail in trials()],
)
def test_refuses_and_runs(
    name: str,
    trial: Callable[..., None],
    detail: object,
    good: Path,
    tmp_path: Path,
    warmed: Callable[[str], Stage],
) -> None:
    trial(warmed(name), detail, good, tmp_path)
