"""report: the figures it computes itself, the page from all products and from few, the refusals."""

import json
import os
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import h5py
import numpy as np
import pytest

from shared import circumstances, cli, lcz, patches, record, scores
from shared.errors import StageError
from stages.report import (
    classifiers,
    comparison,
    confusions,
    found,
    pictures,
    published,
    restored,
    topology,
)
from stages.report import main as stage
from tests.conftest import pixels, write_raw

VOID = {"meta", "img", "br"}


def recorded(product: Path, stage_: str, parameters: dict | None = None, **inputs: Path) -> Path:
    """Write the record that a stage would leave."""
    plan = record.plan(stage_, parameters or {}, inputs)
    content = {"plan": plan, "output": record.measure(product)}
    record.save(product, content | circumstances.gather(1.5, "cpu"))
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


def edge(root: Path) -> list[Path]:
    """An export and a bundle."""
    export = root / "export" / "resnet18"
    classifier(export / "int8", 5)
    numbers = {"bytes": 11_300_000, "overall_accuracy": 0.6, "macro_f1": 0.5}
    models = {name: {"file": f"{name}.onnx", **numbers} for name in ("fp32", "int8")}
    (export / "report.json").write_text(json.dumps({"models": models, "agreement": 0.98}))
    latency = {"threads": 1, "fp32": {"median_ms": 9.25, "p95_ms": 10}}
    (export / "latency.json").write_text(json.dumps(latency))
    bundle = root / "voyager" / "resnet18"
    (bundle / "repr").mkdir(parents=True)
    (bundle / "repr" / "0.png").write_bytes(b"png")
    found = {"overall_accuracy": 0.6125, "average_accuracy": 0.6, "macro_f1": 0.55}
    back = {"rows": 340, "accuracy": {"hdf5": found, "png": found}, "agreement": 0.99}
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
    lines = restored.figures(small, large, ("a", "b", "c"), 2)
    assert [line["band"] for line in lines] == ["a", "b", "c", "all"]
    assert lines[3]["repeat"]["consistency"] < 1e-12 < lines[3]["cubic"]["consistency"]
    assert lines[3]["cubic"]["detail"] == 1


def test_interval_by_hand() -> None:
    low, high = classifiers.interval(0.5, 100)
    assert (round(low, 4), round(high, 4)) == (0.4038, 0.5962)
    assert classifiers.interval(1.0, 50)[1] == pytest.approx(1)


def test_fusion_without_images_has_a_line_of_its_own(tmp_path: Path) -> None:
    truth, products = np.arange(34) % 17, []
    for name, image in (("b", False), ("a", True), ("old", None)):
        (tmp_path / name).mkdir()
        score = np.eye(17, dtype=np.float32)[truth]
        scores.write(tmp_path / name, truth, score, lcz.CLASSES, member_accuracy={"m": 1.0})
        given = {"seed": 42} if image is None else {"seed": 42, "image": image}
        made = {"plan": {"stage": "fusion", "parameters": given, "inputs": {}}}
        products.append(found.Product(tmp_path / name, name, "classifier", made))
    each = classifiers.find(products)
    assert [(one.name, one.role) for one in each] == [
        ("a", "fusion"), ("old", "fusion"), ("b", "topology alone"),
    ]  # fmt: skip
    line = classifiers.overview(each[2], [])
    assert (line["members"], line["accuracy"], line["published"]) == (1, 1.0, "–")


def test_published_sum_rule_is_that_of_the_three_modes() -> None:
    parts = [("teacher", {"architecture": "resnet18", "mode": m}) for m in ("sar", "rand")]
    whole = [*parts, ("teacher", {"architecture": "resnet18", "mode": "randrgb"})]
    assert published.accuracy("sumrule", {}, whole) == "73.22"
    assert published.accuracy("sumrule", {}, parts) == "–"
    assert published.accuracy("sumrule", {}, [("fusion", part) for _, part in whole]) == "–"
    mixed = [*parts, ("teacher", {"architecture": "densenet201", "mode": "randrgb"})]
    assert published.accuracy("sumrule", {}, mixed) == "–"


def test_natural_order() -> None:
    assert sorted(["x10", "x2", "a"], key=found.natural) == ["a", "x2", "x10"]


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
    steps = [line for line in text if line in classifiers.ORDER]
    assert steps[:6] == [
        "teacher",
        "sumrule",
        "student",
        "student without a teacher",
        "INT8",
        "PNG bundle",
    ]
    for expected in (
        "71.23",
        "68.45 / 63.84",
        "33.21 dB",
        "37.53",
        "9.25",
        "61.25",
        "11.271",
        "7",
        "9",
    ):
        assert expected in text, expected
    for section in ("data", "sr", "tda", "classifiers", "edge", "records"):
        assert f'<section id="{section}">' in html
    assert "prepare/training.h5" in text
    assert html.count('alt="H0"') == 5 + 17


def test_missing_products_are_absent(everything: list[Path], tmp_path: Path) -> None:
    teacher = next(path for path in everything if path.parent.name == "teacher")
    html = command(tmp_path / "report" / "index.html", teacher)
    Balanced(html)
    for section in ("data", "sr", "tda", "edge"):
        assert f'<section id="{section}">' not in html
    assert '<section id="overview">' in html


def test_seed_of_what_it_was_made_from(everything: list[Path]) -> None:
    products = found.collect(tuple(everything))
    joined = next(product for product in products if product.stage == "sumrule")
    assert found.seeds(joined, products) == [7]


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
    assert restored.pairs(found.collect((prepared, low, sr))) == []


def test_curves_are_no_images(prepared: Path, tmp_path: Path) -> None:
    path = features(prepared, tmp_path / "tda" / "training.h5")
    products = found.collect((path,))
    assert len(topology.variants(products)) == 1
    with h5py.File(path, "r+") as file:
        file["grid"].attrs["kind"] = "betti"
    assert topology.variants(products) == []


def test_a_comparison_without_figures_is_refused(tmp_path: Path) -> None:
    folder = compared(tmp_path / "sr-eval")
    (folder / "metrics.json").write_text('{"wald": {"x2": {"edsr": 1}}}')
    with pytest.raises(StageError, match=r"metrics\.json: expected figures as sr-eval"):
        comparison.describe(found.Product(folder, "sr-eval", "comparison"))


def test_raw_files_are_not_shown_twice(lcz42: Path, prepared: Path, tmp_path: Path) -> None:
    recorded(lcz42.parent, "demo")
    recorded(prepared, "prepare", src=lcz42)
    dst = tmp_path / "report.html"
    text = Balanced(command(dst, lcz42.parent, prepared)).text
    assert text.count("01 Compact High Rise") == 1
    assert "so2sat" in text  # among the records


def test_other_classes_have_no_published_figures(tmp_path: Path) -> None:
    path = tmp_path / "eurosat" / "training.h5"
    path.parent.mkdir()
    rgb, label = patches.Field((8, 8, 3), "uint8", lcz.RGB), patches.Field((2,), "uint8")
    with patches.Writer(path, 4, classes=("Forest", "SeaLake"), rgb=rgb, label=label) as sink:
        for rows in sink.todo(4):
            sink.put(rows, rgb=np.full((4, 8, 8, 3), 99.0), label=np.eye(2)[[0, 1, 0, 1]])
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


def grid(root: Path) -> tuple[Path, str]:
    path = features(write_raw(root / "raw.h5", pixels(17)), root / "tda" / "a.h5")
    with h5py.File(path, "r+") as file:
        file["grid"].attrs["bins"] = 5
    return path, "320 features do not fit its grid"


@pytest.mark.parametrize(
    "spoil", [cut, alien, empty, onehot, channels, nan, metrics, weights, grid],
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
