"""A bundle's YAML: paths, labels, order of the pictures; pictures to network input."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from shared.errors import StageError
from shared.voyager import bundle, inference, input_path
from tests import hostile

PLACE = bundle.sdk_folder("tiny")
STEPS: dict[str, Any] = {
    "resize": {
        "width": 4, "height": 4, "half_pixel_centers": True, "interpolation": "bilinear",
    },
    "torch-totensor": {"scale": True},
    "normalize": {"mean": "0.5, 0, 0.25", "std": "0.5, 1, 0.25"},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    task = {"model_name": "tiny", "preprocess": [{name: args} for name, args in STEPS.items()]}
    content = {
        "name": "tiny",
        "pipeline": [{"classification": task}],
        "models": {"tiny": {"weight_path": f"{PLACE}/model.onnx", "dataset": "patches"}},
        "datasets": {"patches": {"labels_path": f"{PLACE}/labels.txt", "val_data": "val"}},
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "labels.txt").write_text("water\n\n trees \n")
    for name in ("10_trees/b.png", "01_water/z.png", "01_water/a.png"):
        (tmp_path / "val" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "val" / name).write_bytes(b"")
    return tmp_path


def test_what_the_yaml_says(folder: Path) -> None:
    opened = bundle.open_bundle(folder)
    assert opened.steps == STEPS
    assert opened.network == folder / "model.onnx"
    assert opened.labels == ("water", "trees")
    names = [(path.relative_to(folder / "val").as_posix(), k) for path, k in opened.pictures()]
    assert names == [("01_water/a.png", 0), ("01_water/z.png", 0), ("10_trees/b.png", 1)]


def test_what_systems_leave_behind_is_no_picture(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = bundle.open_bundle(folder)
    before = opened.pictures()
    assert capsys.readouterr().err == ""
    for name in ("._tiny.yaml", "val/.DS_Store", "val/10_trees/._b.png", "val/10_trees/Thumbs.db"):
        (folder / name).write_bytes(b"")
    for name in ("val/__MACOSX", "val/.git", "val/01_water/x.png"):
        (folder / name).mkdir()
    assert bundle.open_bundle(folder).pictures() == before
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{folder}: skipped 6 entries that are no pictures: ")
    (folder / "val" / "10_trees" / "gone.png").symlink_to("/no/such.png")
    with pytest.raises(StageError, match=r"gone\.png: expected a picture, found a link that leads"):
        opened.pictures()


@pytest.mark.parametrize("name", hostile.NAMES.values(), ids=hostile.NAMES)
def test_labels_that_nobody_can_read(folder: Path, name: str) -> None:
    (folder / "labels.txt").write_bytes(b"water\n" + os.fsencode(name).replace(b"\n", b"\f"))
    with pytest.raises(StageError, match=r"labels\.txt: .*expected .* UTF-8, found") as refused:
        _ = bundle.open_bundle(folder).labels
    assert str(refused.value).isprintable()


def test_path_outside_the_bundle(folder: Path) -> None:
    with pytest.raises(ValueError, match="does not lie in"):
        bundle.open_bundle(folder).path("/etc/labels.txt")


@pytest.mark.parametrize(
    "name", ["../labels.txt", "val/../../labels.txt", "/etc/passwd", "", "..", "a\0"]
)
def test_names_that_lead_out_of_the_bundle(folder: Path, name: str) -> None:
    opened = bundle.open_bundle(folder)
    with pytest.raises(ValueError, match="does not lie in"):
        opened.path(f"{PLACE}/{name}")
    opened.yaml["datasets"]["patches"]["val_data"] = name
    with pytest.raises(ValueError, match="does not lie in"):
        opened.pictures()


@pytest.mark.parametrize("side", [0, -1, 2**32, "4", 4.0, True])
def test_pictures_of_impossible_sizes(side: object) -> None:
    steps = STEPS | {"resize": STEPS["resize"] | {"width": side}}
    with pytest.raises(ValueError, match="resize: expected 1 to 4096 pixels"):
        inference.preprocess(np.zeros((1, 4, 4, 3), np.uint8), steps)


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))


def test_anchors_that_multiply_cost_nothing(folder: Path) -> None:
    """Lists stay one list, however many times they are named."""
    (folder / "tiny.yaml").write_text(f"name: x\n{LAUGHS}")
    assert bundle.open_bundle(folder).yaml["name"] == "x"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "expected one YAML, found"), ("a: [", "not YAML"), ("a: 1", "a mapping with a name"),
        ("[" * 5000, "not YAML"), ("a: 2020-13-45", "not YAML"), ("a: " + "9" * 5000, "not YAML"),
        ("a: !!python/object/apply:os.system [id]", "not YAML"), ("x" * 2**21, "not YAML"),
    ],
)  # fmt: skip
def test_unreadable_yaml(folder: Path, text: str | None, message: str) -> None:
    if text is None:
        (folder / "second.yaml").write_text("name: x")
    else:
        (folder / "tiny.yaml").write_text(text)
    with pytest.raises(StageError, match=message):
        bundle.open_bundle(folder)


def test_pictures_are_enlarged_on_8_bits_and_normalised() -> None:
    """Half-pixel centres: 0 and 10 become 0, 2.5, 7.5, 10, of which OpenCV's sums keep 2 and 7.

    It cuts the shares of both rows off before it rounds: (7 + 2 + 2) >> 2 for the quarters of 10.
    """
    picture = np.zeros((1, 2, 2, 3), np.uint8)
    picture[:, :, 1, 1] = 10
    inputs = inference.preprocess(picture, STEPS)
    assert inputs.shape == (1, 3, 4, 4)
    assert inputs.dtype == np.float32
    np.testing.assert_allclose(inputs[0, 0], -1)
    np.testing.assert_allclose(inputs[0, 2], -1)
    levels = 255 * inputs[0, 1]
    np.testing.assert_allclose(levels, np.broadcast_to([0, 2, 7, 10], (4, 4)), atol=1e-4)


@pytest.mark.parametrize(
    ("channels", "inputs", "expected"),
    [
        (1, 1, "1 channels: the SDK's picture path feeds them as GRAY"),
        (3, 1, "3 channels: the SDK's picture path feeds them as RGB or BGR"),
        (4, 1, "4 channels: the SDK's picture path feeds them as RGBA or BGRA"),
        (2, 1, "2 channels: the SDK's picture path feeds 1, 3 or 4 channels; others go in as"),
        (18, 1, "18 channels: the SDK's picture path feeds 1, 3 or 4 channels; others go in as"),
        (None, 1, "no picture: the SDK's picture path feeds 1, 3 or 4 channels; others go in as"),
        (3, 2, "2 inputs: the SDK's picture path feeds one picture of 1, 3 or 4 channels; several"),
    ],
)
def test_how_an_input_gets_to_metis(channels: int | None, inputs: int, expected: str) -> None:
    said = input_path.describe_input(channels, inputs)
    assert said.startswith(expected)
    assert input_path.is_picture(channels, inputs) == ("tensors" not in said)
