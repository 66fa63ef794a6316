"""make stac: items of a trained network and of its bundle, held against the schemas at hand."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pydantic
import pystac
import pytest

from shared import cli, lcz, models
from shared.tools.stac import item, properties
from shared.tools.stac.main import main

CARD = models.Card(
    file="student.onnx", architecture="separable", bands=("B12", "B8", "B4"),
    mean=(0.5, 0.25, 0.125), std=(0.25, 0.5, 0.125), size=32, interpolation="bilinear",
    classes=lcz.CLASSES, eight_bit=True, low=(0.0, 0.2, 0.4), high=(0.5, 0.6, 1.0),
)  # fmt: skip
TABLE = "file,architecture,bands,features,size,parameters,macs,accuracy\n"


def train(*, dst: Path, rate: float = 0.5, weights: Path | None = None, count: int = 1) -> None:
    """Train.

    Args:
        dst: folder.
        rate: of learning.
        weights: file.
        count: of networks.
    """
    dst.mkdir()
    (dst / CARD.file).write_bytes(b"network")
    (dst / "settings.txt").write_text(f"{rate} {weights}")
    (dst / "models.csv").write_text(TABLE + "student.onnx,separable,B12 B8 B4,0,32,1234,,0.5\n")
    models.save(dst, [CARD] * count)


def bundle(*, src: Path, dst: Path) -> None:
    """Bundle.

    Args:
        src: folder.
        dst: folder.
    """
    dst.mkdir()
    (dst / "model.onnx").write_bytes((src / CARD.file).read_bytes())
    (dst / "preprocess.py").write_text("pass\n")
    (dst / ".DS_Store").write_text("")
    (dst / "repr").mkdir()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """distill/a -> voyager/a."""
    for name in ("distill", "voyager"):
        (tmp_path / name).mkdir()
    src = cli.produce(train, {"dst": tmp_path / "distill" / "a", "rate": 0.5})
    cli.produce(bundle, {"src": src, "dst": tmp_path / "voyager" / "a"})
    return tmp_path


def read_items(data: Path) -> list[dict[str, Any]]:
    assert main([str(data / "voyager" / "a"), "--data", str(data)]) == 0
    paths = [data / "stac" / f"{name}.json" for name in ("distill-a", "voyager-a")]
    return [json.loads(path.read_text()) for path in paths]


def test_items_of_the_trained_network_and_of_its_bundle(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student, bundled = read_items(data)
    assert capsys.readouterr().out.splitlines() == [
        str(data / "stac" / "distill-a.json"), str(data / "stac" / "voyager-a.json")
    ]  # fmt: skip
    for one in (student, bundled):
        assert one["geometry"] is None
        told = one["properties"]
        assert told["mlm:architecture"] == "separable"
        assert told["mlm:total_parameters"] == 1234
        assert told["mlm:hyperparameters"] == {"rate": 0.5}
        assert (told["mlm:pretrained"], told["mlm:pretrained_source"]) == (False, None)
        assert told["mlm:tasks"] == ["scene-classification"]
    files = {"student.onnx", "models.csv", "model.json", "settings.txt"}
    assert set(student["assets"]) == files | {"a.run.json"}
    assert set(bundled["assets"]) == {"model.onnx", "preprocess.py", "a.run.json"}
    assert [link for link in bundled["links"] if link["rel"] == "derived_from"] == [
        {"rel": "derived_from", "href": "./distill-a.json", "type": "application/geo+json"}
    ]
    assert student["links"] == []


def test_an_asset_is_found_and_has_the_digest_of_its_file(data: Path) -> None:
    (asset,) = [one for name, one in read_items(data)[1]["assets"].items() if name == "model.onnx"]
    path = data / "stac" / asset["href"]
    assert asset["href"] == "../voyager/a/model.onnx"
    assert asset["file:checksum"] == "1220" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert (asset["file:size"], asset["roles"]) == (7, ["mlm:model"])


def test_scaling_takes_the_limits_of_each_band_into_account() -> None:
    """(v - low) / (high - low), less the mean, over the deviation, for v = 0.5: 2, 1, 1 / 3."""
    given = properties.describe_input(CARD)
    scaled = [(0.5 - one.mean) / one.stddev for one in given.value_scaling or []]
    assert scaled == pytest.approx([2.0, 1.0, (0.1 / 0.6 - 0.125) / 0.125])
    assert given.input.shape == [-1, 3, 32, 32]
    assert given.resize_type == "interpolation-linear"
    assert "0.2 … 0.6" in given.pre_processing_function.description


def test_classes_have_the_official_names_and_colours() -> None:
    classes = [one.to_dict() for one in properties.describe_output(CARD).classes]
    assert classes[9] == {
        "value": 9, "name": "10_HeavyIndustry", "description": "10_HeavyIndustry",
        "color_hint": "555555",
    }  # fmt: skip
    assert properties._name_class("Dense trees, wet", 0) == "Dense-trees-wet"
    assert properties._name_class("水", 3) == "class-3"


def test_the_time_is_that_of_the_newest_file(data: Path) -> None:
    made = json.loads((data / "voyager" / "a.run.json").read_text())["output"]["modified_ns"]
    read = pystac.Item.from_dict(read_items(data)[1])
    assert read.datetime is not None
    assert int(read.datetime.timestamp()) == made // 10**9


@pytest.mark.parametrize(
    ("changes", "properties", "error"),
    [
        ({"bbox": ["west"]}, {}, pystac.errors.STACValidationError),
        ({}, {"datetime": "yesterday"}, pystac.errors.STACValidationError),
        ({}, {"mlm:tasks": ["alchemy"]}, pydantic.ValidationError),
        ({}, {"mlm:inptu": []}, ValueError),
        ({"assets": {}}, {}, ValueError),
    ],
)
def test_what_does_not_fit_a_schema_is_found(
    data: Path, changes: dict[str, Any], properties: dict[str, Any], error: type[Exception]
) -> None:
    content = read_items(data)[0]
    item.check(content)
    with pytest.raises(error):
        item.check(content | changes | {"properties": content["properties"] | properties})


def test_a_file_is_no_place_for_items(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "stac").write_text("kept")
    assert main([str(data / "voyager" / "a"), "--data", str(data)]) == 2
    said = capsys.readouterr().err
    assert "stac: expected a folder to write into" in said
    assert said.count("\n") == 1


def test_what_is_no_network_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.produce(train, {"dst": data / "distill" / "two", "count": 2})
    (data / "distill" / "a" / CARD.file).write_bytes(b"another")
    for product, words in (
        ("distill/two", "two: expected a folder with one network, found 2"),
        ("distill/none", "none: expected a product below"),
        ("distill/a", "a: is not as its record says"),
        ("voyager/a", "a: expected its --src, with a record, below"),
    ):
        assert main([str(data / product), "--data", str(data)]) == 2
        said = capsys.readouterr().err
        assert words in said
        assert said.count("\n") == 1
    assert not (data / "stac").exists()
