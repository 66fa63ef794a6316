"""report: the figures it computes itself, the page from all products and from few, the refusals."""

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from shared import cli, conformal, lcz, patches
from shared.errors import StageError
from shared.models import label_audits, scores
from shared.names import is_name
from shared.runs import environment, record
from shared.terminal import escape
from stages.report import (
    accuracy_steps,
    chain,
    classifiers,
    comparison,
    confusions,
    ensembles,
    explanations,
    inputs,
    maps,
    opening,
    pictures,
    sizes,
    super_resolution,
    topology,
)
from stages.report import main as stage
from stages.report.classifiers import INT8, PNG, Classifier
from stages.report.inputs import Product
from tests import hostile
from tests.conftest import pixels, write_patches, write_raw

VOID = {"meta", "img", "br"}


def recorded(product: Path, stage_: str, parameters: dict | None = None, **inputs: Path) -> Path:
    """Write the record that a stage would leave."""
    plan = record.plan(stage_, parameters or {}, inputs)
    content = {"plan": plan, "output": record.fingerprint(product)}
    record.save(product, content | environment.gather(1.5, "cpu"))
    return product


def classifier(folder: Path, seed: int, hits: float = 0.6, **more: object) -> Path:
    """A score folder with LCZ classes, right in about this share of the rows."""
    rng = np.random.default_rng(seed)
    labels = np.arange(340) % 17
    said = np.where(rng.random(340) < hits, labels, rng.integers(0, 17, 340))
    folder.mkdir(parents=True)
    scores.write(folder, labels, 0.5 * np.eye(17)[said] + 0.5 / 17, lcz.CLASSES, **more)
    return folder


def enlarged(src: Path, dst: Path, scale: int = 2) -> Path:
    """A patch file as a super-resolution stage writes it: every pixel repeated."""
    dst.parent.mkdir(parents=True)
    with patches.read(src, "sen2", "label") as source:
        n, height, width, bands = source["sen2"].shape
        field = patches.Field((height * scale, width * scale, bands), "uint16", lcz.SEN2)
        with patches.Writer(dst, n, like=source, sen2=field) as sink:
            for rows in sink.todo(n):
                large = source["sen2"][rows].repeat(scale, 1).repeat(scale, 2)
                sink.put(rows, sen2=large)
    return dst


def features(src: Path, dst: Path, bins: int = 4) -> Path:
    """A features file as tda writes it, with numbers from a seed."""
    dst.parent.mkdir(parents=True)
    dst.write_bytes(b"")
    with h5py.File(dst, "w") as file, h5py.File(src) as source:
        n = len(source["label"])
        values = np.random.default_rng(0).random((n, 10 * 2 * bins * bins))
        file["features"], file["label"] = values.astype(np.float16), source["label"][:]
        file["grid"] = np.tile([0.0, 9.0], (10, 2, 2, 1))
        file["grid"].attrs.update(bands=list(lcz.SEN2.bands), bins=bins, sigma=0.5)
        file.attrs["classes"] = list(lcz.CLASSES)
    return dst


def compared(folder: Path) -> Path:
    """What sr-eval leaves, with one method under Wald's protocol."""
    folder.mkdir()
    figures = {"psnr": 37.53, "ssim": 0.9587, "rmse": 0.0133, "angle": None}
    ways = {"wald": {"x2": {"edsr": {"all": figures, "B2": {}}}}}
    (folder / "metrics.json").write_text(json.dumps({"rows": 34, **ways}))
    (folder / "panel.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


SPEEDS = {"1": 108.11, "8": 131.2, "32": 4128.7}


def edge(root: Path) -> list[Path]:
    """An export and a bundle."""
    export = root / "export" / "resnet18"
    classifier(export / "int8", 5)
    numbers = {"bytes": 11_300_000, "overall_accuracy": 0.6, "macro_f1": 0.5}
    models = {name: {"file": f"{name}.onnx", **numbers} for name in ("fp32", "int8")}
    lint = {
        "version": "1.6",
        "violations": {"1.2": 28, "1.6": 0},
        "accelerated_macs": {"1.2": 0.8125, "1.6": 1.0},
    }
    models["int8"] |= {"points_lost": 1.25, "agreement": 0.875}
    worst = [{"layer": "/conv<1>", "sqnr_db": 12.34, "points_lost": -0.5}]
    blame = {"scheme": "per_tensor_min_max", "rows": 1234, "worst": worst}
    report = {
        "models": models, "agreement": 0.98, "metis": lint, "blame": blame,
        "calibration": {"scheme": "per_tensor_histogram"},
    }  # fmt: skip
    (export / "blame.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (export / "report.json").write_text(json.dumps(report))
    speeds = {rows: {"median_ms": 1, "rows_per_second": each} for rows, each in SPEEDS.items()}
    latency = {"threads": 1, "fp32": {"median_ms": 9.25, "p95_ms": 10, "rows": speeds}}
    (export / "latency.json").write_text(json.dumps(latency))
    bundle = root / "voyager" / "resnet18"
    (bundle / "repr").mkdir(parents=True)
    (bundle / "repr" / "0.png").write_bytes(b"png")
    accuracy = {"overall_accuracy": 0.6125, "average_accuracy": 0.6, "macro_f1": 0.55}
    back = {"rows": 340, "accuracy": {"hdf5": accuracy, "png": accuracy}, "agreement": 0.99}
    back |= {"range": "fitted", "limits": {"B4": [0, 0.4321], "B<2": [0.01, 2]}}
    back |= {"levels": {"B4": 123, "B<2": 15}}
    (bundle / "readback.json").write_text(json.dumps(back))
    return [export, bundle]


@pytest.fixture
def everything(prepared: Path, tmp_path: Path) -> list[Path]:
    """One product of every kind, with records."""
    recorded(prepared, "prepare", src=prepared)
    weights = tmp_path / "sr-train" / "swinir-x2.safetensors"
    weights.parent.mkdir()
    facts = json.dumps({"psnr": {"network": 33.21, "bicubic": 32.1}})
    header = json.dumps({"__metadata__": {"sr-train": facts}}).encode()
    weights.write_bytes(len(header).to_bytes(8, "little") + header)
    sr = recorded(
        enlarged(prepared, tmp_path / "sr-swinir" / "x2" / "training.h5"), "sr-swinir", src=prepared
    )
    tda = recorded(
        features(prepared, tmp_path / "tda" / "prepare" / "training.h5"), "tda", src=prepared
    )
    plan = {"architecture": "resnet18", "mode": "rand", "seed": 7}
    teacher = classifier(tmp_path / "teacher" / "resnet18-rand", 1, member_accuracy={"a": 0.5})
    student = classifier(tmp_path / "distill" / "resnet18", 2)
    classifier(student / "baseline", 3)
    joined = classifier(tmp_path / "sumrule" / "teacher-resnet18", 4, members=[])
    return [
        prepared, weights, sr, tda, recorded(compared(tmp_path / "sr-eval"), "sr-eval"),
        recorded(student, "distill", {"architecture": "resnet18", "seed": 9}),
        recorded(teacher, "teacher", plan),
        recorded(joined, "sumrule", {}, src=teacher),
        *edge(tmp_path),
    ]  # fmt: skip


def command(dst: Path, *src: Path, flags: tuple[str, ...] = ()) -> str:
    cli.main(stage.run, [f"--src={','.join(map(str, src))}", f"--dst={dst}", *flags])
    return dst.read_text()


class Balanced(HTMLParser):
    """Collects text; asserts that tags close in order and that nothing is loaded from elsewhere."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "iframe")
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href"):
                assert value
                assert value.startswith(("data:image/png;base64,", "#"))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open[-1] != "style":
            self.text.append(" ".join(data.split()))


def test_cubic_keeps_ramps_and_shrinks_back() -> None:
    ramp = np.tile(np.arange(16.0), (1, 16, 1))[..., None]
    large = pictures.enlarge(ramp, 2)
    np.testing.assert_allclose(np.diff(large[0, 8, 4:28, 0]), 0.5, atol=1e-12)
    np.testing.assert_allclose(pictures.shrink(large, 2)[0, 2:-2, 2:-2], ramp[0, 2:-2, 2:-2])
    np.testing.assert_allclose(pictures.enlarge(np.full((1, 4, 4, 2), 0.7), 3), 0.7)


def test_repeated_pixels_are_consistent() -> None:
    small = np.random.default_rng(0).random((2, 8, 8, 3))
    large = {"cubic": pictures.enlarge(small, 2), "repeat": small.repeat(2, 1).repeat(2, 2)}
    lines = super_resolution.figures(small, large, ("a", "b", "c"), 2)
    assert [line["band"] for line in lines] == ["a", "b", "c", "all"]
    assert lines[3]["repeat"]["consistency"] < 1e-12 < lines[3]["cubic"]["consistency"]
    assert lines[3]["cubic"]["detail"] == 1


def test_interval_by_hand() -> None:
    low, high = classifiers.interval(0.5, 100)
    assert (round(low, 4), round(high, 4)) == (0.4038, 0.5962)
    assert classifiers.interval(1.0, 50)[1] == pytest.approx(1)


class Volume:
    """Products as the stages leave them, with records that name what they were made from."""

    def __init__(self, root: Path) -> None:
        self.root, self.seed, self.made = root, 0, dict[str, Path]()

    def put(
        self, name: str, parameters: dict | None = None, hits: float = 0.6, **inputs: object
    ) -> Path:
        """A score folder at STAGE/NAME, made from products of these names or from other files."""
        self.seed += 1
        more = parameters or {}
        folder = classifier(self.root / name, self.seed, hits, networks=more.get("members", 1))
        return self.record(name, folder, parameters, **inputs)

    def record(
        self, name: str, product: Path, parameters: dict | None = None, **inputs: object
    ) -> Path:
        digests = {key: self._digests(value) for key, value in inputs.items()}
        plan = {"stage": name.split("/")[0], "parameters": parameters or {}, "inputs": digests}
        content = {"plan": plan, "output": record.fingerprint(product)}
        record.save(product, content | environment.gather(1.5, "cpu"))
        self.made[name] = product
        return product

    def _digests(self, value: object) -> object:
        if isinstance(value, tuple):
            return [self._digests(part) for part in value]
        path = self.made.get(str(value))
        return record.digest(path) if path else f"digest of {value}"

    def products(self) -> list[inputs.Product]:
        return inputs.collect(tuple(self.made.values()))

    def classifiers(self) -> list[classifiers.Classifier]:
        return classifiers.find(self.products())

    def lines(self) -> dict[tuple[str, str], dict]:
        """Lines of the table of ensembles by group and label."""
        tables = ensembles.tables(self.classifiers(), self.products())
        return {(t["group"], line["label"]): line for t in tables for line in t["lines"]}


def thesis(volume: Volume, architectures: tuple[str, ...] = ("resnet18", "densenet201")) -> Volume:
    """All ensembles of the thesis's table, with members as it has them."""
    for stage_name in ("teacher", "fusion"):
        for architecture in architectures:
            names = []
            for mode in ("rand", "randrgb", "sar"):
                given = {"architecture": architecture, "mode": mode, "seed": 42, "members": 10}
                images = ("a.h5", "a.h5", "b.h5") if stage_name == "fusion" else "a.h5"
                names.append(f"{stage_name}/{architecture}-{mode}")
                fusion = stage_name == "fusion"
                topological: dict[str, Any] = {"tda_train": ("c.h5",)} if fusion else {}
                volume.put(names[-1], given, train=images, test="t.h5", **topological)
            volume.put(f"sumrule/{stage_name}-{architecture}", {"members": 30}, src=tuple(names))
        both = tuple(f"sumrule/{stage_name}-{name}" for name in architectures)
        volume.put(f"sumrule/{stage_name}", {"members": 60}, src=both)
    only = {"image": False, "seed": 42, "members": 10}
    volume.put("fusion/topology", only, train=("a.h5",), tda_train=("c.h5",))
    return volume


def test_table_of_ensembles_is_that_of_the_thesis(tmp_path: Path) -> None:
    volume = thesis(Volume(tmp_path))
    lines = volume.lines()
    modes = ["RAND", "RANDRGB", "SAR", "ALL"]
    each = [*modes, *(f"fusion {mode}" for mode in modes)]
    assert list(lines) == [
        *(("ResNet18", label) for label in each),
        *(("DenseNet201", label) for label in each),
        (ensembles.ACROSS, "ALL"),
        (ensembles.ACROSS, "fusion ALL"),
        (ensembles.NO_IMAGE, "topology alone"),
    ]
    told = {key: line["published"] for key, line in lines.items() if line["published"] != "–"}
    assert told == {
        ("ResNet18", "RAND"): "71.23", ("ResNet18", "RANDRGB"): "70.20",
        ("ResNet18", "SAR"): "72.42", ("ResNet18", "ALL"): "73.22",
        ("DenseNet201", "RAND"): "72.59", ("DenseNet201", "RANDRGB"): "72.21",
    }  # fmt: skip
    counts = [lines[key]["networks"] for key in list(lines)[3:5]]
    assert counts == [30, 10]
    assert lines[ensembles.ACROSS, "ALL"]["networks"] == 60
    assert lines["ResNet18", "fusion SAR"]["notes"] == ["2 variants", "seed 42"]
    assert lines["ResNet18", "ALL"]["notes"] == ["sum rule of 3", "seed 42"]
    assert lines["ResNet18", "RAND"]["name"] == "teacher/resnet18-rand"


def test_names_of_folders_say_nothing(tmp_path: Path) -> None:
    volume = Volume(tmp_path)
    volume.put("teacher/densenet201-sar", {"architecture": "resnet18", "mode": "rand"})
    assert list(volume.lines()) == [("ResNet18", "RAND")]


def test_ablations_and_shards_are_told(tmp_path: Path) -> None:
    volume, given = Volume(tmp_path), {"architecture": "resnet18", "mode": "rand"}
    volume.put("fusion/a", given, train=("a.h5",), tda_train=("c.h5",))
    volume.put("fusion/b", given, train=("a.h5", "b.h5"))
    volume.put("teacher/c", given | {"shard": "1/2"}, checkpoint="old.pth")
    tables = ensembles.tables(volume.classifiers(), volume.products())
    assert [(line["label"], line["notes"]) for line in tables[0]["lines"]] == [
        ("RAND", ["trained elsewhere", "shard 1/2"]),
        ("fusion RAND", ["no super-resolution"]),
        ("fusion RAND", ["2 variants", "no topology"]),
    ]


def test_a_sum_rule_of_what_is_not_given_is_nothing_published(tmp_path: Path) -> None:
    volume = thesis(Volume(tmp_path), ("resnet18",))
    del volume.made["teacher/resnet18-sar"]
    lines = volume.lines()
    assert lines[ensembles.OTHER, "sum rule"]["published"] == "–"
    assert ("ResNet18", "ALL") not in lines


def test_only_even_sums_over_three_modes_are_compared(tmp_path: Path) -> None:
    volume = thesis(Volume(tmp_path), ("resnet18",))
    names = [f"teacher/resnet18-{mode}" for mode in ("rand", "randrgb", "sar")]
    volume.put("sumrule/two", src=tuple(names[:2]))
    volume.put("sumrule/twice", src=(*names, "sumrule/two"))
    volume.put("sumrule/mixed", src=(*names, "fusion/resnet18-rand"))
    tables = ensembles.tables(volume.classifiers(), volume.products())
    said = {line["name"]: (line["label"], line["published"]) for line in tables[0]["lines"]}
    assert said["sumrule/two"] == ("RAND + RANDRGB", "–")
    assert said["sumrule/twice"] == ("ALL", "–")
    assert said["sumrule/mixed"] == ("teachers and fusion ALL", "–")


def shipped(volume: Volume, name: str, student: str) -> None:
    """An export of a student and the bundle made of it; the PNG files cost one point."""
    src = volume.made[student]
    export = volume.root / "export" / name
    shutil.copytree(src, export, ignore=shutil.ignore_patterns("baseline"))
    classifier(export / "int8", 99, 0.5)
    (export / "report.json").write_text(json.dumps({"models": {}, "of": name}))
    volume.record(f"export/{name}", export, src=student)
    bundle = volume.root / "voyager" / name
    bundle.mkdir(parents=True)
    ways = {
        way: {"overall_accuracy": share, "average_accuracy": share, "macro_f1": share}
        for way, share in (("hdf5", 0.70), ("png", 0.69))
    }
    back = {"rows": 100, "accuracy": ways, "agreement": 0.97, "name": name}
    (bundle / "readback.json").write_text(json.dumps(back))
    volume.record(f"voyager/{name}", bundle, src=f"export/{name}")


@pytest.fixture
def chained(tmp_path: Path) -> Volume:
    """Two students of one teacher, shipped; the first one has a twin without a teacher."""
    volume, given = Volume(tmp_path), {"architecture": "resnet18", "seed": 9}
    volume.put("teacher/r", {"architecture": "resnet18", "mode": "rand"}, hits=0.9)
    folder = volume.put("distill/a", given, teacher="teacher/r")
    classifier(folder / "baseline", 77, 0.4)
    volume.record("distill/a", folder, given, teacher="teacher/r")
    volume.put("distill/b", given | {"qat": 3}, teacher="teacher/r")
    shipped(volume, "a", "distill/a")
    shipped(volume, "b", "distill/b")
    return volume


def test_chain_tells_what_every_step_costs(chained: Volume) -> None:
    first, second = chain.chains(chained.classifiers(), chained.products())
    roles = ["teacher", *(role for role in classifiers.CHAIN if role != classifiers.BEFORE)]
    assert [step["role"] for step in first["steps"]] == roles
    assert [step["role"] for step in second["steps"]] == [
        r for r in roles if r != classifiers.ALONE
    ]
    assert second["says"] == "resnet18 · quantisation-aware"
    teacher, student, alone, whole, int8, png = first["steps"]
    assert student["lost"] == pytest.approx(teacher["accuracy"] - student["accuracy"])
    assert student["retention"] == pytest.approx(student["accuracy"] / teacher["accuracy"])
    assert alone["lost"] == pytest.approx(student["accuracy"] - alone["accuracy"])
    assert (whole["lost"], whole["agreement"]) == (0, 1)  # the same network
    assert int8["lost"] == pytest.approx(whole["accuracy"] - int8["accuracy"])
    assert png["lost"] == pytest.approx(0.01)
    assert (png["agreement"], png["rows"], png["retention"]) == (0.97, 100, None)
    assert [step["of"] for step in first["steps"]] == [
        "", "teacher", "student", "student", "FP32 ONNX", "FP32 ONNX, same rows",
    ]  # fmt: skip
    assert (teacher["published"], student["published"]) == ("71.23", "68.45 / 63.84")


def test_students_side_by_side(chained: Volume) -> None:
    chains = chain.chains(chained.classifiers(), chained.products())
    one, other = accuracy_steps.side_by_side(chains)
    assert one["best"]["teacher"] == other["best"]["teacher"]
    assert classifiers.ALONE in one["best"]
    assert classifiers.ALONE not in other["best"]
    text = Balanced(command(chained.root / "out" / "r.html", *chained.made.values())).text
    assert "resnet18 · quantisation-aware" in text
    assert text.count("−0.00") == 0


def test_int8_side_by_side_is_that_of_the_product_and_not_the_best(chained: Volume) -> None:
    folder = chained.made["export/a"]
    classifier(folder / "int8-per_tensor_min_max", 99, 0.6)  # by chance more hits
    one, _ = chains = chain.chains(chained.classifiers(), chained.products())
    int8 = {s["name"]: s for s in one["steps"] if s["role"] == "INT8 ONNX"}
    best = accuracy_steps.side_by_side(chains)[0]["best"]["INT8 ONNX"]
    assert (
        best
        == int8["export/a/int8"]["accuracy"]
        < int8["export/a/int8-per_tensor_min_max"]["accuracy"]
    )


def test_fine_tuning_is_a_step_of_its_own(tmp_path: Path) -> None:
    volume, given = Volume(tmp_path), {"architecture": "resnet18", "qat": 3}
    volume.put("teacher/r", {"architecture": "resnet18", "mode": "rand"}, hits=0.9)
    folder = volume.put("distill/a", given, teacher="teacher/r")
    classifier(folder / "float", 78, 0.5)
    content = json.loads((folder / "metrics.json").read_text())
    content["qat"] = {"int8_before": 0.5, "int8_after": 0.625}
    (folder / "metrics.json").write_text(json.dumps(content))
    volume.record("distill/a", folder, given, teacher="teacher/r")
    volume.made["float"] = folder / "float"
    shipped(volume, "a", "distill/a")
    shipped(volume, "plain", "float")
    del volume.made["float"]
    (only,) = chain.chains(volume.classifiers(), volume.products())
    assert [(step["role"], step["name"].split("/")[0]) for step in only["steps"]] == [
        ("teacher", "teacher"), (classifiers.BEFORE, "distill"),
        ("FP32 ONNX", "export"), ("INT8 ONNX", "export"), ("PNG bundle", "voyager"),
        ("student", "distill"),
        ("FP32 ONNX", "export"), ("INT8 ONNX", "export"), ("PNG bundle", "voyager"),
    ]  # fmt: skip
    assert only["steps"][5]["of"] == classifiers.BEFORE
    assert only["says"].endswith("fake INT8 50.00 % before, 62.50 % after")
    (line,) = accuracy_steps.side_by_side([only])
    assert line["best"]["FP32 ONNX"] == line["best"]["student"]  # not that of float/


def test_agreement_by_hand(tmp_path: Path) -> None:
    truth, said = np.array([0, 1, 2, 0]), ([0, 1, 2, 2], [0, 1, 1, 1])
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder, rows in zip(folders, said, strict=True):
        folder.mkdir()
        scores.write(folder, truth, np.eye(17)[rows], lcz.CLASSES)
    one, other = classifiers.find(inputs.collect(tuple(folders)))
    assert classifiers.agreement(one, other) == 0.5
    np.save(folders[1] / "test_labels.npy", truth[::-1])
    assert classifiers.agreement(one, other) is None  # other rows


def test_a_teacher_that_is_not_given_is_still_told(chained: Volume) -> None:
    del chained.made["teacher/r"]
    folder = chained.made["distill/a"]
    metrics_ = json.loads((folder / "metrics.json").read_text())
    text = json.dumps(metrics_ | {"teacher_accuracy": 0.75})
    (folder / "metrics.json").write_text(text)
    first, second = chain.chains(chained.classifiers(), chained.products())
    assert [first["steps"][0][key] for key in ("role", "accuracy")] == ["teacher", 0.75]
    assert first["steps"][1]["lost"] == pytest.approx(0.75 - first["steps"][1]["accuracy"])
    assert second["steps"][0]["role"] == "student"
    assert second["steps"][0]["lost"] is None


MODELS = """file,architecture,bands,features,size,parameters,macs,accuracy
member-01.onnx,resnet18,B4 B3 B2,0,64,11185233,148000000,0.5
member-02.onnx,resnet18,B8 B3 B2,2000,64,11185235,148000002,0.75
"""


def test_models_are_summed_up(tmp_path: Path) -> None:
    folder = classifier(tmp_path / "a", 1)
    (folder / "models.csv").write_text(MODELS)
    (one,) = classifiers.find(inputs.collect((folder,)))
    line = sizes.summary(one)
    assert line is not None
    assert line["parameters"] == (11_185_235, 22_370_468)
    assert line["macs"] == (148_000_002, 296_000_002)
    assert line["accuracy"] == (0.5, 0.625, 0.75)
    assert line["inputs"] == ["3 × 64 × 64", "3 × 64 × 64 + 2\u2009000 features"]
    (folder / "models.csv").write_text(MODELS.replace("148000000", ""))
    line = sizes.summary(one)
    assert line is not None
    assert line["macs"] is None
    text = Balanced(command(tmp_path / "out" / "r.html", folder)).text
    assert "11.2 M" in text


def test_best_ensemble_and_students_by_class(chained: Volume) -> None:
    chained.put("teacher/worse", {"architecture": "resnet18", "mode": "sar"}, hits=0.2)
    every = chained.classifiers()
    first = confusions.choose_classifiers(every)
    assert [c.name for c in first] == ["teacher/r", "distill/a", "distill/b"]
    (table,) = confusions.by_class(first)
    assert len(table["lines"]) == 17
    expected = [c.metrics["per_class"]["03_CompactLowRise"] for c in first]
    assert table["lines"][2]["values"] == expected
    (table,) = confusions.recalls(every)
    assert len(table["lines"]) == len([c for c in every if c.folder])


def test_edge_tells_limits_and_levels_of_a_bundle(tmp_path: Path) -> None:
    bundle = edge(tmp_path)[1]
    text = " ".join(Balanced(command(tmp_path / "out" / "r.html", bundle)).text)
    assert "band level 0 is level 255 is levels" in text
    assert "B4 0.0000 0.4321 123 B<2 0.0100 2.0000 15" in text
    assert "range fitted" in text
    (bundle / "readback.json").write_text('{"rows": 3}')  # of an older bundle
    text = " ".join(Balanced(command(tmp_path / "out" / "old.html", bundle)).text)
    assert "level 255 is" not in text


def test_edge_tells_lint_and_rows_a_second(tmp_path: Path) -> None:
    folder = edge(tmp_path)[0]
    text = " ".join(Balanced(command(tmp_path / "out" / "r.html", folder)).text)
    assert "in the FP32 network: 28 violations by 1.2, nothing by 1.6." in text
    assert "that Metis accelerates: 81.25 % by 1.2, 100.00 % by 1.6." in text
    assert " ".join(f"rows a second, {rows} at once" for rows in SPEEDS) in text
    assert " 9.25 10.00 108 131 4129 " in text
    assert "INT8, per_tensor_histogram int8.onnx" in text
    assert " +1.25 87.50 " in text
    assert "By per_tensor_min_max, over " in text
    assert "/conv<1> , 12.3 dB, -0.50 points lost" in text
    (folder / "latency.json").unlink()  # of an export without them, such as an older one
    (folder / "report.json").write_text('{"models": {}}')
    text = " ".join(Balanced(command(tmp_path / "out" / "old.html", folder)).text)
    assert "rows a second" not in text
    assert "violation" not in text


def test_natural_order() -> None:
    assert sorted(["x10", "x2", "a"], key=inputs.natural) == ["a", "x2", "x10"]


def test_confusion_shares(tmp_path: Path) -> None:
    folder = classifier(tmp_path / "a", 1, hits=1.0)
    cells = confusions.confusion(folder / "confusion.csv")
    assert cells[3][3] == {"count": 20, "share": 1.0}
    assert cells[3][4]["count"] == 0


def test_everything(everything: list[Path], tmp_path: Path) -> None:
    html = command(tmp_path / "report" / "index.html", *everything)
    text = Balanced(html).text
    assert str(tmp_path) not in html
    assert "http" not in html
    assert {"RAND", "teacher", "student", "INT8 ONNX", "PNG bundle", classifiers.ALONE} <= {*text}
    for expected in (
        "71.23",
        "68.45 / 63.84",
        "33.21 dB",
        "37.53",
        "9.25",
        "61.25",
        "11.271",
    ):
        assert expected in text, expected
    for section in (
        "ensembles", "chain", "by-class", "data", "sr", "tda", "classifiers", "edge", "records",
    ):  # fmt: skip
        assert f'<section id="{section}">' in html
    assert "prepare/training.h5" in text
    assert "seed 7" in html
    assert html.count('alt="H0"') == 5 + 17


def test_missing_products_are_absent(everything: list[Path], tmp_path: Path) -> None:
    teacher = next(path for path in everything if path.parent.name == "teacher")
    html = command(tmp_path / "report" / "index.html", teacher)
    Balanced(html)
    for section in ("chain", "others", "models", "data", "sr", "tda", "edge"):
        assert f'<section id="{section}">' not in html
    assert '<section id="ensembles">' in html


def test_seed_of_what_it_was_made_from(everything: list[Path]) -> None:
    products = inputs.collect(tuple(everything))
    joined = next(product for product in products if product.stage == "sumrule")
    assert inputs.seeds(joined, products) == [7]


def test_raw_files_and_files_without_labels(lcz42: Path, tmp_path: Path) -> None:
    bare = write_raw(tmp_path / "so2sat" / "bare.h5", {"sen2": pixels(9)["sen2"]})
    text = Balanced(command(tmp_path / "report" / "index.html", lcz42, bare)).text
    assert "01 Compact High Rise" in text
    assert any(line.startswith("9 patches") for line in text)


def test_what_was_enlarged_from_a_degraded_copy_is_only_compared(
    prepared: Path, tmp_path: Path
) -> None:
    low = recorded(enlarged(prepared, tmp_path / "low" / "testing.h5", 1), "sr-degrade")
    sr = recorded(enlarged(low, tmp_path / "sr-edsr" / "wald.h5"), "sr-edsr", src=low)
    assert super_resolution.find_pairs(inputs.collect((prepared, low, sr))) == []


def test_curves_are_no_images(prepared: Path, tmp_path: Path) -> None:
    path = features(prepared, tmp_path / "tda" / "training.h5")
    products = inputs.collect((path,))
    assert len(topology.variants(products)) == 1
    with h5py.File(path, "r+") as file:
        file["grid"].attrs["kind"] = "betti"
    assert topology.variants(products) == []


def test_a_comparison_without_figures_is_refused(tmp_path: Path) -> None:
    folder = compared(tmp_path / "sr-eval")
    (folder / "metrics.json").write_text('{"wald": {"x2": {"edsr": 1}}}')
    with pytest.raises(StageError, match=r"metrics\.json: expected figures as sr-eval"):
        comparison.describe(inputs.Product(folder, "sr-eval", "comparison"))


def test_raw_files_are_not_shown_twice(lcz42: Path, prepared: Path, tmp_path: Path) -> None:
    recorded(lcz42.parent, "demo")
    recorded(prepared, "prepare", src=lcz42)
    dst = tmp_path / "report.html"
    text = Balanced(command(dst, lcz42.parent, prepared)).text
    assert text.count("01 Compact High Rise") == 1
    assert "so2sat" in text  # among the records


def test_levels_that_are_too_few_are_warned_of(tmp_path: Path) -> None:
    arrays = pixels(34)
    arrays["sen2"][..., 0] *= 0.05
    arrays["sen2"][..., 1:] = np.random.default_rng(0).random((34, 32, 32, 9))
    text = command(tmp_path / "page.html", write_patches(tmp_path / "dark.h5", arrays))
    assert "Warning: fewer than 16, so that" in text
    warned = text.split("misses most differences: ")[1].split(".</p>")[0]
    assert re.fullmatch(r"B2 [1-9]", warned)
    arrays["sen2"][..., 0] = arrays["sen2"][..., 1]
    text = command(tmp_path / "other.html", write_patches(tmp_path / "bright.h5", arrays))
    assert "that the middle 98 % of the values span.</p>" in text
    assert "Warning" not in text


def test_other_classes_have_no_published_figures(tmp_path: Path) -> None:
    path = tmp_path / "eurosat" / "training.h5"
    path.parent.mkdir()
    rgb, label = patches.Field((8, 8, 3), "uint8", lcz.RGB), patches.Field((2,), "uint8")
    pictures = np.full((4, 8, 8, 3), 99.0)
    pictures[:, 0, 0], pictures[:, 0, 1] = 90.0, 108.0
    with patches.Writer(path, 4, classes=("Forest", "SeaLake"), rgb=rgb, label=label) as sink:
        for rows in sink.todo(4):
            sink.put(rows, rgb=pictures, label=np.eye(2)[[0, 1, 0, 1]])
    text = Balanced(command(tmp_path / "report" / "index.html", path.parent)).text
    assert "Sea Lake" in text
    assert "published mean" not in text
    assert "99.000" in text


def test_goes_on_after_kill_and_is_the_same(everything: list[Path], tmp_path: Path) -> None:
    whole = command(tmp_path / "report" / "whole.html", *everything)
    dst = tmp_path / "report" / "killed.html"
    line = [sys.executable, "-m", "stages.report.main"]
    line += [f"--src={','.join(map(str, everything))}", f"--dst={dst}"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    ticket, deadline = dst.with_name(dst.name + ".partial.json"), time.monotonic() + 30
    while not ticket.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not dst.exists()
    assert command(dst, *everything) == whole


def cut(root: Path) -> tuple[Path, str]:
    path = write_raw(root / "a.h5", pixels(17))
    path.write_bytes(path.read_bytes()[:5000])
    return path, "a.h5: not a complete HDF5 file"


def alien(root: Path) -> tuple[Path, str]:
    return write_raw(root / "a.h5", {"images": np.zeros(3)}), "found ['images']"


def empty(root: Path) -> tuple[Path, str]:
    (root / "a").mkdir()
    return root / "a", "expected a product with one of"


def onehot(root: Path) -> tuple[Path, str]:
    return write_raw(root / "a.h5", pixels(17) | {"label": np.zeros((17, 17))}), "not one-hot"


def channels(root: Path) -> tuple[Path, str]:
    cube = {"sen2": np.zeros((3, 8, 8, 9))}
    return write_raw(root / "a.h5", cube), "sen2: expected (N, H, W, 10), found (3, 8, 8, 9)"


def nan(root: Path) -> tuple[Path, str]:
    arrays = pixels(17)
    arrays["sen2"][4, 0, 0, 0] = np.nan
    return write_raw(root / "a.h5", arrays), "NaN or infinite values in rows 4"


def metrics(root: Path) -> tuple[Path, str]:
    (classifier(root / "a", 1) / "metrics.json").write_text("{")
    return root / "a", "metrics.json: expected JSON"


def weights(root: Path) -> tuple[Path, str]:
    (root / "a.safetensors").write_bytes(b"12345678{nonsense")
    return root / "a.safetensors", "expected a safetensors file"


def columns(root: Path) -> tuple[Path, str]:
    (classifier(root / "a", 1) / "models.csv").write_text("file,macs\na.onnx,3\n")
    return root / "a", "models.csv: expected the columns"


def numbers(root: Path) -> tuple[Path, str]:
    (classifier(root / "a", 1) / "models.csv").write_text(MODELS.replace("0.75", "much"))
    return root / "a", "models.csv: expected numbers"


def grid(root: Path) -> tuple[Path, str]:
    path = features(write_raw(root / "raw.h5", pixels(17)), root / "tda" / "a.h5")
    with h5py.File(path, "r+") as file:
        file["grid"].attrs["bins"] = 5
    return path, "320 features do not fit its grid"


@pytest.mark.parametrize(
    "spoil", [cut, alien, empty, onehot, channels, nan, metrics, weights, columns, numbers, grid],
    ids=lambda spoil: spoil.__name__,
)  # fmt: skip
def test_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "in").mkdir()
    path, message = spoil(tmp_path / "in")
    with pytest.raises(SystemExit, match="2"):
        command(tmp_path / "report" / "index.html", path)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert message in lines[0]
    assert [path.name for path in tmp_path.iterdir()] == ["in"]  # nothing left behind


def test_refuses_flags(tmp_path: Path, lcz42: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flag, message in (("--each=0", "--each: expected 1 to 20"), ("--eahc=2", "did you mean")):
        with pytest.raises(SystemExit, match="2"):
            command(tmp_path / "report" / "index.html", lcz42, flags=(flag,))
        assert message in capsys.readouterr().err


# --- the opening ----------------------------------------------------------------------------------
def test_opening_of_an_early_page(tmp_path: Path) -> None:
    """The first stages alone: everything else is still to come, and nothing is a figure."""
    empty = opening.describe([], [])
    assert [box["made"] for box in empty["boxes"]] == [False] * 8
    assert [figure["value"] for figure in empty["figures"]] == [None] * 5
    assert empty["bundles"] == []
    made = {"plan": {"stage": "prepare", "parameters": {}, "inputs": {}}}
    first = opening.describe([Product(tmp_path, "prepare/x.h5", "patches", made)], [])
    assert [box["title"] for box in first["boxes"] if box["made"]] == ["patches"]
    assert first["missing"][0] == "super-resolution"


def test_super_resolution_is_made_by_what_enlarges(tmp_path: Path) -> None:
    for name, enlarged in (("sr-train", False), ("sr-eval", False), ("sr-edsr", True)):
        made = {"plan": {"stage": name, "parameters": {}, "inputs": {}}}
        page = opening.describe([Product(tmp_path, "x", "patches", made)], [])
        assert ("super-resolution" not in page["missing"]) == enlarged


def test_key_figures_by_value(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({
        "wald": {"x2": {"bicubic": {"all": {"psnr": 37.5}}, "edsr": {"all": {"psnr": 41.26}}},
                 "x4": {"bicubic": {"all": {"psnr": 32.0}}, "edsr": {"all": {"psnr": 33.0}}}},
    }))  # fmt: skip
    product = Product(tmp_path, "sr-eval", "comparison")
    graded = [
        Classifier(role, folder, product, {"overall_accuracy": accuracy})
        for role, folder, accuracy in (
            ("teacher", None, 0.5), ("sumrule", None, 0.6), ("student", None, 0.4),
            (INT8, tmp_path / "int8", 0.39), (INT8, tmp_path / "int8-per_tensor_min_max", 0.44),
            (PNG, None, 0.4),
        )
    ]  # fmt: skip
    figures = opening.key_figures([product], graded)
    assert [figure["value"] for figure in figures] == [
        "+3.8 dB",
        "60.0 %",
        None,
        "40.0 %",
        "39.0 %",
    ]
    assert figures[4]["title"] == "INT8"


def test_a_loss_in_resolution_has_one_sign(tmp_path: Path) -> None:
    wald = {"x2": {"bicubic": {"all": {"psnr": 37.5}}, "edsr": {"all": {"psnr": 37.0}}}}
    (tmp_path / "metrics.json").write_text(json.dumps({"wald": wald}))
    product = Product(tmp_path, "sr-eval", "comparison")
    assert opening.key_figures([product], [])[0]["value"] == "-0.5 dB"


def test_pictures_of_where_networks_look(tmp_path: Path) -> None:
    folder = tmp_path / "explain" / "resnet18"
    folder.mkdir(parents=True)
    png = b"\x89PNG\r\n\x1a\n"
    for number, name in enumerate(("overview.png", "bands.png")):
        (folder / name).write_bytes(png + bytes([number]))
    html = command(tmp_path / "page.html", folder)
    page = Balanced(html)
    assert "Where they look" in page.text
    assert "what is lost without each band" in page.text
    assert "right by the best network" not in html
    for number in range(2):
        assert base64.b64encode(png + bytes([number])).decode() in html
    (folder / "overview.png").write_text("none")
    with pytest.raises(StageError, match=r"overview.png: expected a PNG picture"):
        explanations.describe(Product(folder, "resnet18", "explanation"))


def map_folder(folder: Path) -> Path:
    """A map as map leaves it, with two of three classes."""
    folder.mkdir(parents=True)
    (folder / "quicklook.png").write_bytes(b"\x89PNG\r\n\x1a\n7")
    facts = {"scene": "S2_X 2021", "filter": "gaussian", "cells_with_truth": 40}
    (folder / "map.json").write_text(json.dumps(facts | {"agreement_raw": 0.725, "agreement": 0.8}))
    lines = [
        "class,name,colour,cells,share,km2",
        "1,Town,#8c0000,10,0.25,0.1",
        "2,Sea,#6a6aff,0,0,0",
    ]
    (folder / "area.csv").write_text("\n".join([*lines, "3,Wood,#006a00,30,0.75,0.3"]) + "\n")
    return folder


def test_maps_with_areas_and_agreement(tmp_path: Path) -> None:
    folder = map_folder(tmp_path / "map" / "city")
    page = Balanced(command(tmp_path / "page.html", folder))
    shown = " ".join(page.text)
    assert "72.5 % of the cells have their true class, 80.0 % after the filter" in shown
    said = maps.describe(Product(folder, "city", "map"))
    assert [(a["name"], a["share"], a["km2"]) for a in said["areas"]] == [
        ("Wood", "75.0", "0.3"), ("Town", "25.0", "0.1"),
    ]  # fmt: skip
    (folder / "area.csv").write_text("class,name,colour,cells,share,km2\n1,Town,red,1,1,\n")
    with pytest.raises(StageError, match=r"area.csv: expected areas of a map .*'red'"):
        maps.describe(Product(folder, "city", "map"))


# Names of files and classes as people have them.


@pytest.mark.parametrize("name", [*hostile.ODD.values(), *hostile.NAMES.values()])
def test_names_never_break_the_page(tmp_path: Path, name: str) -> None:
    """As title, in paths, in parameters of records and, where it can be read, as a class."""
    place = tmp_path / name.replace(",", ";")  # a comma separates products
    folder, other = (classifier(place / f"{place.name}-{k}", k) for k in (1, 2))
    if is_name(name):
        for path in (folder / "metrics.json", folder / "confusion.csv"):
            text = path.read_text("utf-8").replace('"17_Water"', json.dumps(name))
            path.write_text(text.replace("17_Water", "other"), "utf-8")
    recorded(folder, "teacher", {"architecture": name, "seed": 1})
    html = command(tmp_path / "page.html", folder, other, flags=(f"--title={name}",))
    page = Balanced(html)
    assert hostile.is_calm(html)
    assert html.count("<script>") == 0
    assert escape(name).replace("\\n", " ") in " ".join(page.text)


def test_what_systems_leave_beside_patch_files_is_skipped(prepared: Path, tmp_path: Path) -> None:
    plain = command(tmp_path / "plain.html", prepared.parent)
    (prepared.parent / "._training.h5").write_bytes(b"\0\5\26\7")
    assert command(tmp_path / "page.html", prepared.parent) == plain


# --- prediction sets ------------------------------------------------------------------------------
def test_promised_against_reached_coverage(tmp_path: Path) -> None:
    """The file is written here as calibrate writes it: a stage imports no other one."""
    city = {"city": "Rome & co", "rows": 40, "hits": 35, "reached": 0.875, "low": 0.775,
            "high": 1.0, "within": True, "size": 1.25, "single": 0.8, "empty": 0.0}  # fmt: skip
    told = {"coverage": 0.9, "reached": 0.8834, "size": 1.5, "single": 0.7, "empty": 0.01,
            "cities_within": 1, "cities": [city]}  # fmt: skip
    path = tmp_path / "student.json"
    strange = np.array([0.1, 0.2])
    conformal.save(path, conformal.Calibration(("a", "b"), "lac", strange), coverages=[told])
    page = command(tmp_path / "report.html", path)
    for text in ("Knowing when not to say", "90.00", "88.34", "1 of 1", "Rome &amp; co", "87.50"):
        assert text in page
    content = json.loads(path.read_text())
    for wrong in ("often", None):
        text = json.dumps(content).replace("0.8834", json.dumps(wrong))
        (tmp_path / "wrong.json").write_text(text)
        with pytest.raises(SystemExit, match="2"):
            command(tmp_path / "again.html", tmp_path / "wrong.json")
    del content["coverages"]
    path.write_text(json.dumps(content))
    with pytest.raises(SystemExit, match="2"):
        command(tmp_path / "again.html", path)
    assert not (tmp_path / "again.html").exists()


# --- labels ---------------------------------------------------------------------------------------
def test_labels_that_look_wrong(tmp_path: Path) -> None:
    """The folder is written here as audit writes it: a stage imports no other one."""
    folder = tmp_path / "training"
    folder.mkdir()
    lines = [
        {"class": "plain", "rows": 40, "suspects": 1, "share": 0.025, "most_like": "Rome & co"},
        {"class": "Rome & co", "rows": 8, "suspects": 3, "share": 0.375, "most_like": "plain"},
    ]
    told = {"method": "both", "suspects": 4, "share": 1 / 12, "per_class": lines}
    number = np.arange(48) % 2
    audit = label_audits.Audit(("plain", "Rome & co"), number, 1 - number, number / 2, number == 0)
    label_audits.save(folder, audit, **told)
    page = command(tmp_path / "report.html", folder)
    for text in ("Labels that look wrong", "4 of 48 rows, 8.33 %", "37.50"):
        assert text in page
    assert page.index("<td>Rome &amp; co</td>") < page.index("<td>plain</td>")
    content = json.loads((folder / "audit.json").read_text())
    for broken in ({"per_class": None}, {"share": "many"}, {"rows": 0}):
        (folder / "audit.json").write_text(json.dumps(content | broken))
        with pytest.raises(SystemExit, match="2"):
            command(tmp_path / "again.html", folder)
        assert not (tmp_path / "again.html").exists()
