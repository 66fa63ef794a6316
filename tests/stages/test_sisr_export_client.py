"""The client's side: its YAML, its tiles by hand, what it stores, and pairs that do not fit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml

from shared import sisr_client
from shared.errors import StageError
from shared.sisr_client import Window, tiling
from tests import client_networks
from tests.client_networks import Options

BANDS = ("B4", "B8", "B11")
GOOD = {"model": "n.onnx", "bands": list(BANDS), "margin": 12, "factor": 2.0}


# --- description ----------------------------------------------------------------------------------
def test_a_yaml_has_exactly_four_keys_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "n.yaml"
    (tmp_path / "n.onnx").touch()
    sisr_client.write(path, "n.onnx", BANDS, 12, 2)
    content = yaml.safe_load(path.read_text())
    assert content == GOOD
    assert isinstance(content["factor"], float)
    told = sisr_client.read(path)
    assert (told.model, told.bands, told.margin, told.factor) == (
        tmp_path / "n.onnx", BANDS, 12, 2,
    )  # fmt: skip


def test_json_is_yaml(tmp_path: Path) -> None:
    (tmp_path / "n.onnx").touch()
    path = tmp_path / "n.yaml"
    path.write_text('{"model": "n.onnx", "bands": ["B5", "B8A"], "margin": 110, "factor": 4}')
    told = sisr_client.read(path)
    assert (told.metres, told.margin, told.whole_margin) == (20, 110, 112)
    assert replace(told, bands=("B5", "B8")).metres == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": 1}, "exactly the keys model, bands, margin, factor, found model, bands, margin"),
        ({"margin": None}, "margin: expected a whole number from 0 to 10000, found None"),
        ({"margin": 12.5}, "margin: expected a whole number from 0 to 10000, found 12.5"),
        ({"margin": -2}, "margin: expected a whole number"),
        ({"factor": float("nan")}, "factor: expected a whole number"),
        ({"factor": True}, "factor: expected a whole number"),
        ({"factor": 0}, "factor: expected 1 or more, found 0"),
        ({"bands": ["B4", "B4"]}, "bands: expected different ones of B2"),
        ({"bands": ["B4", "B1"]}, "bands: expected different ones of B2"),
        ({"bands": []}, "bands: expected"),
        ({"bands": [["B4"]]}, "bands: expected"),
        ({"model": "other.onnx"}, "model: expected an ONNX file beside it, found 'other.onnx'"),
        ({"model": 3}, "model: expected an ONNX file beside it, found 3"),
    ],
)
def test_refuses_a_yaml(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    (tmp_path / "n.onnx").touch()
    path = tmp_path / "n.yaml"
    path.write_text(yaml.safe_dump(GOOD | change, sort_keys=False))
    with pytest.raises(StageError, match=r"n\.yaml") as error:
        sisr_client.read(path)
    assert message in str(error.value)


def test_a_folder_with_one_yaml_will_do(tmp_path: Path) -> None:
    path = client_networks.pair(tmp_path / "in", BANDS)
    assert sisr_client.read(tmp_path / "in").path == path
    (tmp_path / "in" / "other.yml").touch()
    with pytest.raises(StageError, match=r"expected one YAML, found other\.yml, pair\.yaml; name"):
        sisr_client.read(tmp_path / "in")
    with pytest.raises(StageError, match="expected one YAML, found none"):
        sisr_client.read(tmp_path)


@pytest.mark.parametrize("text", ["[1, 2", "- a\n- b\n", "", "a: !!python/object:x.Y {}"])
def test_refuses_what_is_no_mapping(tmp_path: Path, text: str) -> None:
    (tmp_path / "n.yaml").write_text(text)
    with pytest.raises(StageError, match=r"not YAML|found no mapping"):
        sisr_client.read(tmp_path / "n.yaml")


def test_a_small_yaml_that_stands_for_gigabytes_is_refused_in_a_short_line(tmp_path: Path) -> None:
    (tmp_path / "n.onnx").touch()
    levels = [f"a{i}: &a{i} [{', '.join(10 * [f'*a{i - 1}'])}]" for i in range(1, 30)]
    lists = "{" + ", ".join(["a0: &a0 [B4]", *levels]) + "}"
    for text in (lists, f"model: n.onnx\nmargin: 8\nfactor: 2\nbands:\n- {lists}\n- 2\n"):
        (tmp_path / "n.yaml").write_text(text)
        with pytest.raises(StageError) as error:
            sisr_client.read(tmp_path / "n.yaml")
        assert len(str(error.value)) < 600


# --- tiles ----------------------------------------------------------------------------------------
def test_tiles_begin_at_the_lower_left() -> None:
    """A region of 10 rows and 7 columns at (4, 6), tiles of 4: the top and the right are cut."""
    tiles = list(tiling.list_tiles(Window(4, 6, 10, 7), 4))
    assert [(t.row, t.column, t.height, t.width) for t in tiles] == [
        (10, 6, 4, 4), (10, 10, 4, 3), (6, 6, 4, 4), (6, 10, 4, 3), (4, 6, 2, 4), (4, 10, 2, 3),
    ]  # fmt: skip


def test_a_tile_needs_its_margin_in_whole_input_pixels() -> None:
    assert tiling.find_source(Window(20, 12, 8, 4), 6, 2) == Window(7, 3, 10, 8)
    assert tiling.find_source(Window(0, 0, 8, 8), 4, 4) == Window(-1, -1, 4, 4)
    with pytest.raises(ValueError, match="multiples of 4"):
        tiling.find_source(Window(20, 12, 8, 4), 6, 4)


def test_the_border_of_a_product_is_not_made() -> None:
    """A product of 30 x 50 pixels at a factor of 2, margin 6."""
    assert tiling.limit(Window(0, 0, 60, 100), (30, 50), 6, 2) == Window(6, 6, 48, 88)
    assert tiling.limit(Window(2, 40, 10, 80), (30, 50), 6, 2) == Window(6, 40, 6, 54)
    assert tiling.limit(Window(0, 0, 4, 4), (30, 50), 6, 2).height == 0


def test_windows_scale_and_index() -> None:
    image = np.arange(40).reshape(5, 8)
    window = Window(1, 2, 3, 4)
    assert image[window.rows, window.columns].tolist() == [
        [10, 11, 12, 13], [18, 19, 20, 21], [26, 27, 28, 29],
    ]  # fmt: skip
    assert window.scale(3) == Window(3, 6, 9, 12)
    assert window.scale(3).shrink(3) == window


# --- what is stored -------------------------------------------------------------------------------
def test_the_client_cuts_and_wraps() -> None:
    given = np.array([1234.7, -1234.7, 40000.2, np.nan, 32767.9, -40000])
    assert sisr_client.wrap(given).tolist() == [1234, -1234, -25536, -10000, 32767, 25536]


def test_saturation_rounds_and_is_never_nodata() -> None:
    given = np.array([1234.7, 0.5, 40000.2, np.nan, -10000.0, -np.inf])
    assert sisr_client.saturate(given).tolist() == [1235, 0, 32767, -10000, -9999, -9999]


# --- networks -------------------------------------------------------------------------------------
def test_tiles_of_a_region_are_the_output_without_tiles(tmp_path: Path) -> None:
    network = sisr_client.Network(
        sisr_client.read(client_networks.pair(tmp_path, BANDS, Options(side=5)))
    )
    image = np.random.default_rng(3).uniform(100, 3000, (3, 21, 34))
    whole = network.run(image.astype(np.float32))
    region = Window(10, 20, 22, 30)
    made, place = sisr_client.resolve(network, image, region, side=8)
    assert place == region
    np.testing.assert_allclose(made, whole[:, 10:32, 20:50], rtol=1e-5)
    everything, place = sisr_client.emulate(network, image)
    assert place == Window(4, 4, 34, 60)
    inner = whole[:, 4:-4, 4:-4]
    np.testing.assert_allclose(everything, np.trunc(inner), atol=1)
    assert everything.dtype == np.int16


FREE = "expected input (b, c, h, w) of any height and width, found (N"


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        (Options(names=("image", "output")), {}, "expected one input, input tensor(float), found"),
        (Options(free=(False, False)), {}, FREE),
        (Options(free=(False, True)), {}, FREE),
        (Options(free=(True, False)), {}, FREE),
        (Options(), {"bands": ["B4", "B8"]}, "bands: expected the 3 of pair.onnx, found 2"),
        (Options(), {"factor": 4.0}, "expected (3, 160, 144) from (3, 40, 36)"),
    ],
)
def test_refuses_a_network(
    tmp_path: Path, options: Options, change: dict[str, Any], message: str
) -> None:
    path = client_networks.pair(tmp_path, BANDS, options)
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | change))
    with pytest.raises(StageError) as error:
        sisr_client.Network(sisr_client.read(path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_refuses_what_is_no_onnx(tmp_path: Path) -> None:
    path = client_networks.pair(tmp_path, BANDS)
    (tmp_path / "pair.onnx").write_bytes(b"no network")
    with pytest.raises(StageError, match=r"pair\.onnx: not a usable ONNX file"):
        sisr_client.Network(sisr_client.read(path))


def test_the_bands_of_the_output_count_as_well(tmp_path: Path) -> None:
    path = client_networks.pair(tmp_path, BANDS, Options(order=(0, 1)))
    with pytest.raises(StageError, match=r"expected \(3, 80, 72\).*found \(2, 80, 72\)"):
        sisr_client.Network(sisr_client.read(path))


def test_an_output_of_the_right_form_is_enough(tmp_path: Path) -> None:
    """Any name of the output will do, and the first of several is taken."""
    path = client_networks.pair(tmp_path, BANDS, Options(names=("input", "anything")))
    model = onnx.load(tmp_path / "pair.onnx")
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info("smooth"))
    onnx.save(model, tmp_path / "pair.onnx")
    image = np.ones((3, 8, 9), np.float32)
    assert sisr_client.Network(sisr_client.read(path)).run(image).shape == (3, 16, 18)
