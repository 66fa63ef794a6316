"""The card of a super-resolution network: what is written is read, what is broken is refused."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from shared.errors import StageError
from shared.sisr import cards

CARD = cards.Card(
    bands=("B2", "B8"), made=("B2", "B8"), metres=10.0, factor=2, margin=26,
    architecture="carn-1x1x8g2sw", mode="geometric", mtf={"B2": 0.304, "B8": 0.222},
    mean=(0.05, 0.25), std=(0.03, 0.1), grid=1,
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / cards.ONNX).write_bytes(b"")
    cards.write(tmp_path, CARD)
    return tmp_path


def test_what_is_written_is_read(folder: Path) -> None:
    assert cards.read(folder) == CARD
    assert sorted(path.name for path in folder.iterdir()) == ["network.onnx", "sisr.json"]


def test_a_card_is_json_that_others_can_read(folder: Path) -> None:
    content = json.loads((folder / "sisr.json").read_text())
    assert content["bands"] == ["B2", "B8"]
    assert content["std"] == [0.03, 0.1]
    assert list(content) == [field.name for field in dataclasses.fields(cards.Card)]


@pytest.mark.parametrize(
    ("entry", "value", "fault"),
    [
        ("bands", [], "bands: ()"),
        ("bands", ["B2", "B2"], "bands: ('B2', 'B2')"),
        ("made", "B2", "made: 'B2'"),
        ("metres", 0, "metres: 0"),
        ("metres", "10", "metres: '10'"),
        ("factor", 2.0, "factor: 2.0"),
        ("factor", True, "factor: True"),
        ("factor", 0, "factor: 0"),
        ("margin", 27, "margin: 27"),
        ("margin", -2, "margin: -2"),
        ("architecture", None, "architecture: None"),
        ("mode", "radiometric", "mode: 'radiometric'"),
        ("mtf", {"B2": 1.0}, "mtf: {'B2': 1.0}"),
        ("mtf", [0.3], "mtf: (0.3,)"),
        ("mean", [0.1], "mean: (0.1,)"),
        ("mean", [0.1, float("nan")], "mean: (0.1, nan)"),
        ("std", [0.1, 0.0], "std: (0.1, 0.0)"),
        ("bands", [["B2"], "B8"], "bands: (['B2'], 'B8')"),
        ("grid", 0, "grid: 0"),
        ("grid", 8.0, "grid: 8.0"),
        ("grid", 65, "grid: 65"),
    ],
)
def test_an_entry_that_is_not_valid_is_refused(
    folder: Path, entry: str, value: Any, fault: str
) -> None:
    content = json.loads((folder / "sisr.json").read_text()) | {entry: value}
    (folder / "sisr.json").write_text(json.dumps(content))
    with pytest.raises(StageError) as caught:
        cards.read(folder)
    assert str(caught.value) == f"{folder}/sisr.json: not a description of a network ({fault})"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "Expecting property name"),
        ("[]", "expected an object"),
        ('{"more": 1}', "unknown entry 'more'"),
        ('{"bands": ["B2"]}', "no entry 'architecture'"),
        ("[" * 100_000, "nested"),
    ],
)
def test_broken_json_is_refused_by_name(folder: Path, text: str, fault: str) -> None:
    (folder / "sisr.json").write_text(text)
    with pytest.raises(StageError, match=fault) as caught:
        cards.read(folder)
    assert str(caught.value).startswith(f"{folder}/sisr.json: not a description of a network (")


def test_a_card_from_before_there_were_grids_is_of_a_network_without(folder: Path) -> None:
    content = json.loads((folder / "sisr.json").read_text())
    del content["grid"]
    (folder / "sisr.json").write_text(json.dumps(content))
    assert cards.read(folder) == CARD


def test_a_folder_without_card_or_network_is_refused(folder: Path) -> None:
    with pytest.raises(StageError, match=r"gone: expected a folder of sisr-train with sisr.json"):
        cards.read(folder / "gone")
    (folder / "network.onnx").unlink()
    with pytest.raises(StageError, match=r"network.onnx: expected the network beside sisr.json"):
        cards.read(folder)
    (folder / "sisr.json").unlink()
    with pytest.raises(StageError, match=r"sisr.json: expected a folder of sisr-train .* none"):
        cards.read(folder)
