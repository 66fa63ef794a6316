"""voyager: pictures and names by hand, the product, every rule broken on purpose, the refusals."""

import dataclasses
import hashlib
import inspect
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import onnx
import pytest
import tomllib
import yaml
from onnx import TensorProto
from PIL import Image

from shared import cli, lcz, manifest, models
from shared.errors import StageError
from shared.pictures import read_picture
from shared.voyager import Bundle, calibration, open_bundle
from shared.voyager.inference import preprocess
from stages.voyager import (
    calibration_sheet,
    deploy_texts,
    main,
    picture_files,
    preprocess_file,
    readback,
    sdk_file_rules,
    sdk_names,
    sdk_rules,
)
from stages.voyager.settings import Deployment
from tests import hostile, networks
from tests.conftest import pixels, write_patches

NAME = "lcz42-resnet18"
ROWS = 17 * 13  # 221: above the SDK's 200


def wide(rows: int, seed: int) -> dict[str, np.ndarray]:
    """Patches that use a good part of the 8 bits."""
    arrays = pixels(rows, seed)
    return arrays | {"sen2": arrays["sen2"] * 8}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs and one product; to be read only."""
    folder = tmp_path_factory.mktemp("voyager")
    (folder / "prepare").mkdir()
    train = write_patches(folder / "prepare" / "training.h5", wide(ROWS, 0))
    test = write_patches(folder / "prepare" / "testing.h5", wide(68, 1))
    networks.student(folder / "export", train, test, batch=1)
    command(folder, folder / "out")
    return folder


def command(inputs: Path, dst: Path, *flags: str, src: str = "export") -> Path:
    """Run the stage as its container does; its product."""
    files = [f"--{n}={inputs / 'prepare' / n}ing.h5" for n in ("train", "test")]
    given = {flag.partition("=")[0] for flag in flags}
    usual = ("--calibration=210", "--per_class_val=3")
    flags = (*flags, *(flag for flag in usual if flag.partition("=")[0] not in given))
    cli.main(main.run, [f"--src={inputs / src}", *files, f"--dst={dst}", *flags])
    return dst


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


# Pictures and names, by hand.


def test_eight_bit_clips_and_rounds() -> None:
    values = np.array([-3.0, 0.4, 0.6, 254.6, 300.0])
    assert picture_files.eight_bit(values).tolist() == [0, 0, 1, 255, 255]


def test_png_keeps_every_value_and_its_bytes(tmp_path: Path) -> None:
    tile = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    picture_files.save_picture(tmp_path / "a.png", tile)
    picture_files.save_picture(tmp_path / "b.png", tile)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), tile)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (("01_A", "02_B"), ("01_A", "02_B")),
        (("AnnualCrop", "Forest"), ("AnnualCrop", "Forest")),
        (("Water", "Bush, scrub"), ("01_Water", "02_Bush_scrub")),
        (("1", "2", "10"), ("01_1", "02_2", "03_10")),
        (("A b", "A/b"), ("01_A_b", "02_A_b")),
    ],
)
def test_folders_sort_as_the_classes(classes: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert sdk_names.folder_names(classes) == expected
    assert sorted(expected) == list(expected)


def test_labels_stay_different_identifiers() -> None:
    lines = sdk_names.label_lines(
        ("01_Bush, scrub", "Bush scrub", "10 m", "Low-plants", "Low plants")
    )
    assert lines == ("Bush scrub", "Bush scrub 2", "m", "Low-plants", "Low plants 5")
    assert sdk_names.label_lines(("1", "2")) == ("class 1", "class 2")


@pytest.mark.parametrize(
    "classes", [("A b", "A/b", "a-b"), ("1", "2", "10"), ("Water, deep", "50% Water"), lcz.CLASSES]
)
def test_folders_are_told_by_the_labels_in_their_order_alone(classes: tuple[str, ...]) -> None:
    pairs = list(zip(sdk_names.folder_names(classes), sdk_names.label_lines(classes), strict=True))
    assert all(sdk_file_rules.matches_label(*pair, number) for number, pair in enumerate(pairs))
    turned = zip(sdk_names.folder_names(classes), sdk_names.label_lines(classes)[::-1], strict=True)
    assert not all(
        sdk_file_rules.matches_label(*pair, number) for number, pair in enumerate(turned)
    )


def test_calibration_takes_classes_in_turn_and_skips_bad_tiles(made: Path) -> None:
    from shared import patches

    with patches.read(made / "prepare" / "training.h5", "label") as source:
        queues = [[0, 17, 34], [1, 1, 18]]  # row 1 twice: a duplicate
        (card,) = models.load(made / "export")
        pictures, passed = picture_files.collect_calibration(source, card, queues, 5)
    assert list(pictures) == [0, 1, 17, 18, 34]
    assert passed == {"duplicate": 1, "constant": 0}
    assert picture_files.is_constant(np.full((4, 4, 3), 7, np.uint8))
    assert not picture_files.is_constant(pictures[0])


def test_preprocessing_equals_the_network_s_own_and_pillow_s(made: Path) -> None:
    """Pillow's and the card's are the same to one grey level, and in whole levels to the bit."""
    bundle = open_bundle(made / "out")
    (card,) = models.load(made / "export")
    pictures = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    ours = preprocess(pictures, bundle.steps)
    level = 1 / 255 / np.array(card.std)[:, None, None]
    exact = models.preprocess(pictures.astype(np.float32), card)
    assert (np.abs(ours - exact) <= 1.02 * level).all()
    whole = models.preprocess(
        pictures.astype(np.float32), dataclasses.replace(card, eight_bit=True)
    )
    np.testing.assert_array_equal(ours, whole)
    content = json.loads(json.dumps(bundle.yaml))
    resize = content["pipeline"][0]["classification"]["preprocess"][0]["resize"]
    resize["half_pixel_centers"] = False
    pillow = preprocess(pictures, Bundle(bundle.folder, content).steps)
    assert (np.abs(ours - pillow) <= 1.01 * level).all()


def test_reason_of_a_loss_is_told_from_a_notable_one_on() -> None:
    labels, right = np.array([0, 1, 1, 0]), np.eye(2, dtype=np.float32)[[0, 1, 1, 0]]
    wrong = np.eye(2, dtype=np.float32)[[0, 0, 1, 0]]
    same = readback.compare(labels, dict.fromkeys(("hdf5", "rounded", "png"), right), ("a", "b"))
    assert (same["points_lost"], same["why"], same["agreement"]) == (0.0, None, 1.0)
    logits = {"hdf5": right, "rounded": right, "png": wrong}
    lost = readback.compare(labels, logits, ("a", "b"))
    assert lost["points_lost"] == 25.0
    assert lost["why"].endswith("takes 0.00 points, resizing in 8 bits 25.00")


def test_sheet_has_a_row_a_class_brightened_by_one_factor() -> None:
    values = np.array([100, 40, 20, 100], np.uint8)
    tiles = np.broadcast_to(values[:, None, None, None], (4, 2, 2, 3))
    sheet = calibration_sheet.arrange_tiles(tiles, np.array([0, 1, 1, 0]), 3)
    assert sheet.shape == (6, 4, 3)
    assert sheet[::2, ::2, 0].tolist() == [[255, 255], [102, 51], [0, 0]]


# The product.


def test_product(made: Path) -> None:
    out = made / "out"
    assert sdk_rules.problems(out) == []
    assert len(list((out / "repr").iterdir())) == 210
    assert [len(list(place.iterdir())) for place in sorted((out / "val").iterdir())] == [3] * 17
    comparison = json.loads((out / "readback.json").read_text())
    assert comparison["rows"] == comparison["test_pictures"] == 51
    assert comparison["accuracy"]["hdf5"]["overall_accuracy"] > 0.9
    assert abs(comparison["points_lost"]) <= 0.5 or "rounding the pixels" in comparison["why"]
    with Image.open(out / "calibration.png") as picture:
        assert picture.size == (150 + 13 * 32, 17 * 32)  # 210 of 221: 13 of the first classes
    text = (out / "DEPLOY.md").read_text()
    assert f"./deploy.py customers/{NAME}/{NAME}.yaml --data-root customers" in text
    assert "--num-cal-images 210 --mode QUANTCOMPILE" in text
    assert (out / "labels.txt").read_text().splitlines()[::16] == ["CompactHighRise", "Water"]


def test_pictures_hold_their_rows_in_the_card_s_band_order(made: Path) -> None:
    sen2 = wide(68, 1)["sen2"]
    for path in (made / "out" / "val").rglob("*.png"):
        row = sen2[int(path.stem)][..., [2, 1, 0]] * 255 / 2.8
        assert np.abs(read_picture(path) - row).max() <= 0.51
        assert int(path.parent.name[:2]) - 1 == int(path.stem) % 17


def test_any_first_pictures_hold_every_class_alike(made: Path) -> None:
    """The SDK takes the first N names; of class 17, the 13 rows are all used at the end."""
    files = sorted((made / "out" / "repr").iterdir())
    classes = [int(path.name[5:7]) for path in files]
    assert [int(path.name[:4]) for path in files] == list(range(210))
    for taken in range(1, 210):
        counts = [classes[:taken].count(k) for k in range(1, 18)]
        assert max(counts) - min(counts) <= 1
    for path in files[::37]:
        row = int(path.stem[-6:])
        assert row % 17 + 1 == int(path.name[5:7])
        reflectance = wide(ROWS, 0)["sen2"][row][..., [2, 1, 0]] * 255 / 2.8
        assert np.abs(read_picture(path) - reflectance).max() <= 0.51
    text = " ".join((made / "out" / "DEPLOY.md").read_text().split())
    assert (
        "the first 100: 5 or 6 of each of 17 classes; the first 200: 11 or 12 of each of 17 "
        "classes; all 210: 12 or 13 of each of 17 classes." in text
    )


def test_levels_of_a_network_from_elsewhere_may_be_fitted(tmp_path: Path) -> None:
    """Rows of little contrast: ten levels of the scale, all levels between limits."""
    (tmp_path / "prepare").mkdir()
    train = write_patches(tmp_path / "prepare" / "training.h5", pixels(ROWS, 0))
    test = write_patches(tmp_path / "prepare" / "testing.h5", pixels(68, 1))
    networks.student(tmp_path / "export", train, test, batch=1)
    said = {
        way: json.loads((command(tmp_path, tmp_path / way, *flags) / "readback.json").read_text())
        for way, flags in (("published", []), ("fitted", ["--range=fitted"]))
    }
    assert {way: entry["range"] for way, entry in said.items()} == {k: k for k in said}
    assert said["published"]["limits"] == {band: [0, 2.8] for band in ("B4", "B3", "B2")}
    assert max(said["published"]["levels"].values()) < 10
    assert min(said["fitted"]["levels"].values()) > 130
    for way in said:
        sen2 = pixels(68, 1)["sen2"][..., [2, 1, 0]]
        low, high = np.array(list(said[way]["limits"].values())).T
        for path in (tmp_path / way / "val").rglob("*.png"):
            row = (255 * (sen2[int(path.stem)] - low) / (high - low)).clip(0, 255)
            assert np.abs(read_picture(path) - row).max() <= 0.51
    bundle, (card,) = open_bundle(tmp_path / "fitted"), models.load(tmp_path / "export")
    normal = {name: float(of.split(",")[0]) for name, of in bundle.steps["normalize"].items()}
    low, high = (value / 2.8 for value in said["fitted"]["limits"]["B4"])
    assert normal["std"] * (high - low) == pytest.approx(card.std[0])  # the network sees the same
    assert normal["mean"] * (high - low) + low == pytest.approx(card.mean[0])
    assert said["fitted"]["agreement"] > said["published"]["agreement"]
    low, high = said["fitted"]["limits"]["B2"]
    text = " ".join((tmp_path / "fitted" / "DEPLOY.md").read_text().split())
    assert f"B2 {low:.8g} … {high:.8g} in the unit of the data (range fitted);" in text
    counts = ", ".join(f"{band} {count}" for band, count in said["fitted"]["levels"].items())
    assert f"span so many levels: {counts}." in text


def test_names_of_calibration_pictures(tmp_path: Path) -> None:
    assert calibration.name_picture(7, 7, 123) == "0007_08_000123.png"
    assert calibration.read_name("0007_08_000123.png") == (7, 123)
    assert calibration.read_name("000123.png") is None
    files = [tmp_path / calibration.name_picture(i, i % 2, i) for i in range(9)]
    assert calibration.count_classes(files, 3) == [5, 4, 0]
    assert calibration.describe_prefix(files, 3, 4) == "the first 4: 0 to 2 of each of 3 classes"
    assert calibration.describe_prefixes(files[:8], 2) == ["all 8: 4 of each of 2 classes"]


def test_the_default_is_the_most_that_later_documents_allow() -> None:
    given = {n: p.default for n, p in inspect.signature(main.run).parameters.items()}
    assert (given["calibration"], given["per_class_val"]) == (400, 200)


def test_commands_of_the_sdk_are_told(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heard = capsys.readouterr().err if command(made, tmp_path / "out") else ""
    lines = [line.strip() for line in heard.splitlines() if line.startswith("  ")]
    infer = f"./inference.py {NAME} dataset --data-root customers --no-display"
    assert lines == [
        f"mkdir -p customers/{NAME}",
        f"cp -r BUNDLE/. customers/{NAME}/",
        f"./deploy.py customers/{NAME}/{NAME}.yaml --data-root customers --num-cal-images 210 "
        "--mode QUANTCOMPILE",
        f"{infer} --pipe=torch",
        f"{infer} --pipe=torch-aipu --aipu-cores=1",
        infer,
        f"./inference.py {NAME} media/VIDEO.mp4 --no-display --aipu-cores=4 --show-host-fps "
        "--show-stream-timing",
    ]
    text = (tmp_path / "out" / "DEPLOY.md").read_text()
    assert "\n".join(lines[:3]) in text
    assert "\n".join(lines[3:]) in text


@pytest.mark.parametrize(("cores", "streaming"), [(1, 4), (2, 4), (3, 3), (4, 4)])
def test_a_network_is_run_on_the_cores_that_it_was_compiled_for(cores: int, streaming: int) -> None:
    """A batch takes all of its cores at once; only whole batches lie beside each other."""
    for profile in ("1.2", "1.6", "1.8"):
        *_, behind, _, video = deploy_texts.commands(NAME, 400, profile, cores)["measure"]
        assert f" --aipu-cores={cores}" in behind
        assert f" --aipu-cores={streaming} " in video


def test_all_rows_and_the_same_again(made: Path, tmp_path: Path) -> None:
    assert content(command(made, tmp_path / "same", "--threads=1")) == content(made / "out")
    every = command(made, tmp_path / "all", "--per_class_val=0")
    assert len(list((every / "val").rglob("*.png"))) == 68
    other = command(made, tmp_path / "other", "--seed=1")
    assert set(content(other)) != set(content(made / "out"))


def test_killed_run_ends_with_the_same(made: Path, tmp_path: Path) -> None:
    flags = [f"--{n}={made / 'prepare' / n}ing.h5" for n in ("train", "test")]
    flags += [f"--src={made / 'export'}", "--calibration=210", "--per_class_val=3"]
    line = [sys.executable, "-m", "stages.voyager.main", *flags, f"--dst={tmp_path / 'out'}"]
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(line, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (tmp_path / "out.partial" / "repr").exists() and process.poll() is None:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out").exists()
    assert content(command(made, tmp_path / "out")) == content(made / "out")


# Every rule broken on purpose.


def empty(folder: Path) -> None:
    """Remove every file of a folder."""
    for path in folder.iterdir():
        path.unlink()


def edit(change: Callable[[dict], None]) -> Callable[[Path], None]:
    """Change the YAML of a bundle."""

    def apply(folder: Path) -> None:
        path = folder / f"{NAME}.yaml"
        description = yaml.safe_load(path.read_text())
        change(description)
        path.write_text(yaml.safe_dump(description, sort_keys=False))

    return apply


def steps(description: dict) -> list:
    return description["pipeline"][0]["classification"]["preprocess"]


def dataset(description: dict) -> dict:
    return description["datasets"][f"{NAME}-patches"]


def network(change: Callable[[onnx.ModelProto], None]) -> Callable[[Path], None]:
    """Change the ONNX of a bundle."""

    def apply(folder: Path) -> None:
        model = onnx.load(folder / "model.onnx")
        change(model)
        (folder / "model.onnx").write_bytes(model.SerializeToString())

    return apply


def first(folder: Path, place: str) -> Path:
    return min((folder / place).rglob("*.png"))


def dynamic(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"


def external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="labels.txt")


def repaint(place: str, mode: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        with Image.open(first(folder, place)) as picture:
            converted = picture.convert(mode)
        converted.save(first(folder, place))

    return apply


def constant(folder: Path) -> None:
    picture_files.save_picture(first(folder, "repr"), np.full((32, 32, 3), 9, np.uint8))


def unbalance(folder: Path) -> None:
    """Another picture of the first class comes second."""
    path = sorted((folder / "repr").glob("*_01_*.png"))[1]
    path.rename(path.with_name("0000_01_999999.png"))


def name_by_row(folder: Path) -> None:
    """A picture is named as in earlier bundles."""
    first(folder, "repr").rename(folder / "repr" / "000000.png")


def before(operator: str) -> Callable[[Path], None]:
    """Put a node between the input and the first layer."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.node[0].input[0] = "prepared"
        two = ["image", "image"] if operator in ("Sub", "Mul") else ["image"]
        node = onnx.helper.make_node(operator, two, ["prepared"], "prepare")
        model.graph.node.insert(0, node)

    return network(change)


def double(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def post(description: dict) -> dict:
    return description["pipeline"][0]["classification"]


def many(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(1791):
        tile = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)
        Image.fromarray(tile).save(folder / "repr" / f"x{i}.png", compress_level=0)


def few(folder: Path) -> None:
    for path in sorted((folder / "repr").iterdir())[11:]:
        path.unlink()


def relabel(old: str, new: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "labels.txt"
        path.write_text(path.read_text().replace(old, new))

    return apply


def swap_labels(folder: Path) -> None:
    lines = (folder / "labels.txt").read_text().splitlines()
    (folder / "labels.txt").write_text("\n".join([lines[1], lines[0], *lines[2:]]))


def unpad(folder: Path) -> None:
    for place in (folder / "val").iterdir():
        place.rename(place.with_name(place.name.lstrip("0")))


def png(path: Path, bits: int) -> None:
    """The same values as an RGB PNG of so many bits a channel, written by hand."""
    values = read_picture(path).astype(f">u{bits // 8}") * (257 if bits == 16 else 1)
    lines = b"".join(b"\0" + row.tobytes() for row in values)
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    whole = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + whole)


def scaled_from_the_left(model: onnx.ModelProto) -> None:
    """A constant times the picture: the picture is the second input."""
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(2), "two"))
    model.graph.node[0].input[0] = "prepared"
    node = onnx.helper.make_node("Mul", ["two", "image"], ["prepared"], "prepare")
    model.graph.node.insert(0, node)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "format": (edit(lambda y: y.update({"axelera-model-format": "2"})), "keys: axelera-model"),
    "no datasets": (edit(lambda y: y.pop("datasets")), "keys: "),
    "unknown model key": (edit(lambda y: y["models"][NAME].update(md5="x")), "unknown ['md5']"),
    "task": (edit(lambda y: y["models"][NAME].update(task_category="Detection")), "task_category"),
    "class": (edit(lambda y: y["models"][NAME].update({"class": "AxModel"})), "class is 'AxModel'"),
    "class path": (
        edit(lambda y: y["models"][NAME].update(class_path="base_onnx.py")),
        "class_path is 'base_onnx.py'",
    ),
    "adapter": (edit(lambda y: dataset(y).update({"class": "DataAdapter"})), "expected class Torc"),
    "adapter path": (
        edit(lambda y: dataset(y).update(class_path="torchvision.py")),
        "class_path $A",
    ),
    "no calibration folder": (edit(lambda y: dataset(y).pop("repr_imgs_dir_path")), "either repr_"),
    "no val_data": (edit(lambda y: dataset(y).pop("val_data")), "KeyError 'val_data'"),
    "region": (edit(lambda y: post(y)["input"].update(source="roi")), "input has"),
    "pil resize": (
        edit(lambda y: steps(y)[0]["resize"].update(half_pixel_centers=False)),
        "with half-pixel centres",
    ),
    "resize argument": (edit(lambda y: steps(y)[0]["resize"].update(antialias=1)), "resize has"),
    "normalise argument": (edit(lambda y: steps(y)[2]["normalize"].update(eps=1)), "normalize has"),
    "softmax": (
        edit(lambda y: post(y).update(postprocess=[{"topk": {"k": 5, "sort": True}}])),
        "expected topk of k",
    ),
    "scaling node": (network(scaled_from_the_left), "Mul of the input belongs into the YAML"),
    "16 bit colour": (lambda f: png(first(f, "val"), 16), "has 16 bits a channel"),
    "layout": (edit(lambda y: y["models"][NAME].update(input_tensor_layout="NHWC")), "'NHWC'"),
    "two yaml": (lambda f: shutil.copy(f / f"{NAME}.yaml", f / "x.yaml"), "expected one YAML"),
    "no yaml": (lambda f: (f / f"{NAME}.yaml").write_text("- a"), "expected a mapping"),
    "model name": (edit(lambda y: post(y).update(model_name="other")), "KeyError 'other'"),
    "inference": (edit(lambda y: post(y).update(inference={})), "unknown ['inference']"),
    "video": (edit(lambda y: post(y)["input"].update(type="video")), "expected type image"),
    "no topk": (edit(lambda y: post(y).update(postprocess=[])), "expected topk"),
    "top 18": (edit(lambda y: post(y).update(postprocess=[{"topk": {"k": 18}}])), "topk of 18"),
    "unscaled": (
        edit(lambda y: steps(y)[1].update({"torch-totensor": {"scale": False}})),
        "0 to 1",
    ),
    "both sizes": (edit(lambda y: steps(y)[0]["resize"].update(size=48)), "resize has ['half_"),
    "misspelt": (edit(lambda y: dataset(y).update(valdata="x")), "silently ignores: ['valdata']"),
    "relative": (edit(lambda y: dataset(y).update(labels_path="labels.txt")), "does not lie in"),
    "calibration colour": (
        edit(lambda y: dataset(y).update(repr_imgs_dataloader_color_format="BGR")),
        "colour: ",
    ),
    "double": (network(double), "input [['DOUBLE', 1, 3, 48, 48]]"),
    "normalising node": (before("Sub"), "Sub of the input belongs into the YAML"),
    "transposing node": (before("Transpose"), "Transpose of the input belongs"),
    "many": (many, "2001 calibration pictures"),
    "sizes": (lambda f: Image.new("RGB", (9, 9)).save(first(f, "val")), "pictures of 2 sizes"),
    "deep class": (lambda f: (first(f, "val").parent / "sub").mkdir(), "holds folders"),
    "file name": (lambda f: (f / f"{NAME}.yaml").rename(f / "x.yaml"), "is not called"),
    "data folder": (edit(lambda y: dataset(y).update(data_dir_name="MNIST")), "data_dir_name"),
    "link": (lambda f: (f / "link").symlink_to(f / "val"), "links"),
    "reserved": (edit(lambda y: dataset(y).update(target_split="val")), "reserved keys"),
    "labels twice": (edit(lambda y: dataset(y).update(labels="l")), "either labels or"),
    "one-indexed": (edit(lambda y: dataset(y).update(is_one_indexed=True)), "is_one_indexed"),
    "colour": (edit(lambda y: y["models"][NAME].update(input_color_format="BGR")), "colour: "),
    "bicubic": (edit(lambda y: steps(y)[0]["resize"].update(interpolation="bicubic")), "bicubic"),
    "size": (edit(lambda y: steps(y)[0]["resize"].update(width=224)), "input_tensor_shape"),
    "order": (edit(lambda y: steps(y).reverse()), "expected resize, torch-totensor, normalize"),
    "two means": (edit(lambda y: steps(y)[2]["normalize"].update(mean="0.1, 0.1")), "2 values"),
    "zero std": (edit(lambda y: steps(y)[2]["normalize"].update(std="0, 1, 1")), "not above 0"),
    "no weights": (lambda f: (f / "model.onnx").unlink(), "model.onnx is not there"),
    "no val": (lambda f: shutil.rmtree(f / "val"), "val is not there"),
    "not onnx": (lambda f: (f / "model.onnx").write_text("?"), "not a usable ONNX file"),
    "opset": (network(lambda m: m.opset_import[0].__setattr__("version", 18)), "opset 18"),
    "ir": (network(lambda m: m.__setattr__("ir_version", 11)), "IR 11"),
    "dynamic": (network(dynamic), "input [['N', 3, 48, 48]]"),
    "external": (network(external), "weights lie in another file"),
    "classes": (edit(lambda y: y["models"][NAME].update(num_classes=16)), "num_classes"),
    "alias": (relabel("BushScrub", "Bush, scrub"), "name and aliases"),
    "same label": (relabel("LowPlants", "BushScrub"), "same identifier 'bushscrub'"),
    "digit label": (relabel("Water", "17Water"), "no identifier"),
    "label order": (swap_labels, "class 0 is folder"),
    "missing class": (lambda f: shutil.rmtree(min((f / "val").iterdir())), "16 class folders"),
    "empty class": (lambda f: empty(min((f / "val").iterdir())), "empty"),
    "unpadded": (unpad, "class 0 is folder '10_HeavyIndustry'"),
    "grey": (repaint("val", "L"), "expected 8-bit RGB PNG"),
    "alpha": (repaint("repr", "RGBA"), "expected 8-bit RGB PNG"),
    "16 bit": (repaint("val", "I;16"), "expected 8-bit RGB PNG"),
    "few": (few, "11 calibration pictures: deploy.py asks for --num-cal-images 200"),
    "twice": (lambda f: shutil.copy(first(f, "repr"), f / "repr" / "z.png"), "equal calibration"),
    "constant": (constant, "a calibration picture is constant"),
    "unbalanced": (unbalance, "of the first 2 calibration pictures, 2 are of class 1 and 0 of"),
    "by row alone": (name_by_row, "000000.png: a calibration picture whose name does not tell"),
    "nested": (lambda f: (f / "repr" / "sub").mkdir(), "not flat"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_broken_rule_is_caught(made: Path, tmp_path: Path, how: str) -> None:
    shutil.copytree(made / "out", tmp_path / "out")
    change, message = BROKEN[how]
    change(tmp_path / "out")
    with pytest.raises(StageError) as refused:
        sdk_rules.check_bundle(tmp_path / "out")
    text = str(refused.value) if "yaml" in how else problems(tmp_path / "out")
    assert message in text


def problems(folder: Path) -> str:
    """All of them: a refusal names the first three."""
    return "; ".join(sdk_rules.problems(folder))


def test_weights_listed_as_inputs_are_no_problem(made: Path, tmp_path: Path) -> None:
    """As older exporters write them: adding one is no preparation of the picture."""

    def listed(model: onnx.ModelProto) -> None:
        shift = onnx.numpy_helper.from_array(np.zeros((1, 1), np.float32), "moved")
        model.graph.initializer.append(shift)
        value = onnx.helper.make_tensor_value_info("moved", TensorProto.FLOAT, [1, 1])
        model.graph.input.append(value)
        last = model.graph.node[-1]
        last.output[0], score = "before", last.output[0]
        model.graph.node.append(onnx.helper.make_node("Add", ["before", "moved"], [score], "end"))

    shutil.copytree(made / "out", tmp_path / "out")
    network(listed)(tmp_path / "out")
    assert sdk_rules.problems(tmp_path / "out") == []


def test_eight_bits_by_hand_are_no_problem(made: Path, tmp_path: Path) -> None:
    """So that it is the depth that the rule finds, not the other writer."""
    shutil.copytree(made / "out", tmp_path / "out")
    png(first(tmp_path / "out", "val"), 8)
    assert sdk_rules.problems(tmp_path / "out") == []


def test_swapped_colours_are_caught_by_the_read_back(made: Path, tmp_path: Path) -> None:
    from shared import patches

    shutil.copytree(made / "out", tmp_path / "out")
    path = first(tmp_path / "out", "val")
    picture_files.save_picture(path, read_picture(path)[..., ::-1])
    (card,) = models.load(made / "export")
    with (
        patches.read(made / "prepare" / "testing.h5", "label") as source,
        pytest.raises(StageError, match="other bands, order or scale"),
    ):
        readback.readback(tmp_path / "out", source, card, 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda y: steps(y)[0]["resize"].update(interpolation="nearest"),
        lambda y: steps(y)[2]["normalize"].update(mean="0.0, 0.0, 0.0"),
        lambda y: steps(y)[2]["normalize"].update(std="0.5, 0.5, 0.5"),
    ],
)
def test_other_preprocessing_is_caught_by_the_read_back(
    made: Path, tmp_path: Path, change: Callable[[dict], None]
) -> None:
    from shared import patches

    shutil.copytree(made / "out", tmp_path / "out")
    edit(change)(tmp_path / "out")
    (card,) = models.load(made / "export")
    with (
        patches.read(made / "prepare" / "testing.h5", "label") as source,
        pytest.raises(StageError, match="another resize, scale, mean or std"),
    ):
        readback.readback(tmp_path / "out", source, card, 1)


# Releases of the SDK.

KINDS = ("1.2", "1.6", "1.8", "all")


@pytest.fixture(scope="module")
def kinds(made: Path) -> dict[str, Path]:
    """One bundle for each value of --sdk, of the same student."""
    others = {sdk: command(made, made / f"out-{sdk}", f"--sdk={sdk}") for sdk in KINDS}
    return others | {"1.8": made / "out"}


def test_every_release_reads_the_same_pictures_with_equal_accuracy(kinds: dict[str, Path]) -> None:
    parts = [content(folder) for folder in kinds.values()]
    common = {"model.onnx", "labels.txt", "readback.json", "calibration.png"}
    common |= {name for name in parts[0] if name.startswith(("repr/", "val/"))}
    for part in parts:
        assert {name: part[name] for name in common} == {name: parts[0][name] for name in common}
        assert sorted(set(part) - common - {f"{NAME}.toml"}) == [
            "DEPLOY.md", "MANIFEST.json", f"{NAME}.yaml", "preprocess.py",
        ]  # fmt: skip
    for folder in kinds.values():
        assert sdk_rules.problems(folder) == []


def test_bundles_of_the_later_releases_are_the_same_but_for_what_they_say(
    kinds: dict[str, Path],
) -> None:
    """1.8 changed what is compiled, not what it is compiled from."""
    one, other = content(kinds["1.6"]), content(kinds["1.8"])
    apart = {name for name in one | other if one.get(name) != other.get(name)}
    assert apart == {"DEPLOY.md", "MANIFEST.json"}


@pytest.mark.parametrize("sdk", KINDS)
def test_compiler_settings_stand_where_the_release_reads_them(
    kinds: dict[str, Path], sdk: str
) -> None:
    """All parsers are the SDK's own kind: yaml.safe_load and tomllib."""
    extra = open_bundle(kinds[sdk]).model["extra_kwargs"]
    if sdk == "1.2":
        nested = {"quantization_config": {"ptq_scheme": "per_tensor_histogram"}}
        assert extra == {"max_compiler_cores": 1, "compilation_config": nested}
        assert not list(kinds[sdk].glob("*.toml"))
        return
    assert extra == {"compiler_config_file": f"{NAME}.toml"}
    assert tomllib.loads((kinds[sdk] / f"{NAME}.toml").read_text()) == {
        "quantization_scheme": "per_tensor_histogram",
        "aipu_cores_used": 1,
        "resources_used": 0.25,
    }


def test_scheme_and_cores_are_written_out(made: Path, tmp_path: Path) -> None:
    flags = ("--scheme=hybrid_per_tensor_per_channel", "--cores=4")
    new = command(made, tmp_path / "new", *flags)
    assert tomllib.loads((new / f"{NAME}.toml").read_text()) == {
        "quantization_scheme": "hybrid_per_tensor_per_channel",
        "aipu_cores_used": 4,
        "resources_used": 1.0,
    }
    assert "aipu_cores_used 4, resources_used 1.0)" in (new / "DEPLOY.md").read_text()
    old = command(made, tmp_path / "old", *flags, "--sdk=1.2")
    extra = open_bundle(old).model["extra_kwargs"]
    scheme = {"ptq_scheme": "hybrid_per_tensor_per_channel"}
    assert extra["compilation_config"] == {"quantization_config": scheme}
    assert extra["max_compiler_cores"] == 4
    assert "--mode QUANTCOMPILE --aipu-cores 4\n" in (old / "DEPLOY.md").read_text()


def test_the_scheme_is_that_of_the_folder_s_int8_network(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that what export says of INT8 is said of this bundle; a flag wins."""
    (tmp_path / "prepare").symlink_to(made / "prepare")
    shutil.copytree(made / "export", tmp_path / "export")
    path = tmp_path / "export" / "model.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps(said | {"scheme": "per_tensor_min_max"}))
    out = command(tmp_path, tmp_path / "out")
    assert 'scheme = "per_tensor_min_max"\n' in (out / f"{NAME}.toml").read_text()
    given = command(tmp_path, tmp_path / "given", "--scheme=per_tensor_histogram", "--sdk=all")
    assert (given / f"{NAME}.toml").read_text() == (made / "out" / f"{NAME}.toml").read_text()
    for content, flag, message in (
        ("per_tensor_min_max", "--sdk=all", "and --cores 1, found per_tensor_min_max and 1"),
        ("entropy", "--sdk=1.8", "as scheme, found 'entropy'"),
    ):
        path.write_text(json.dumps(said | {"scheme": content}))
        capsys.readouterr()
        with pytest.raises(SystemExit, match="2"):
            command(tmp_path, tmp_path / "none", flag)
        assert message in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("flag", ["--cores=2", "--scheme=per_tensor_min_max"])
def test_no_yaml_for_all_releases_says_other_settings(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(made, tmp_path / "out", "--sdk=all", flag)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --sdk all: expected --scheme per_tensor_histogram and --cores 1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sdk", KINDS)
def test_every_path_begins_in_the_sdk_and_prefixes_are_balanced(
    kinds: dict[str, Path], sdk: str
) -> None:
    opened = open_bundle(kinds[sdk])
    entries = opened.model | opened.dataset
    paths = {key: value for key, value in entries.items() if key.endswith("_path")}
    assert set(paths) == {"class_path", "weight_path", "labels_path", "repr_imgs_dir_path"}
    assert all(value.startswith("$AXELERA_FRAMEWORK/") for value in paths.values())
    classes = [int(path.name[5:7]) for path in sorted((kinds[sdk] / "repr").iterdir())]
    for taken in (17, 100, 200):
        counts = [classes[:taken].count(k) for k in range(1, 18)]
        assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(
    ("sdk", "expected"),
    [("1.2", r"\d\.\d{3}"), ("1.6", r"\d\.\d{6}"), ("1.8", r"\d\.\d{6}"), ("all", r"\d\.\d{3}")],
)
def test_mean_and_std_have_the_decimals_that_the_release_keeps(
    kinds: dict[str, Path], sdk: str, expected: str
) -> None:
    numbers = open_bundle(kinds[sdk]).steps["normalize"]
    for text in numbers.values():
        assert all(re.fullmatch(expected, part) for part in text.split(", "))
    text = (kinds[sdk] / "DEPLOY.md").read_text()
    assert "trained with mean and std of at most 3 decimals; the YAML has" in text


def test_six_decimals_go_to_the_releases_that_keep_them(made: Path, tmp_path: Path) -> None:
    (tmp_path / "prepare").symlink_to(made / "prepare")
    shutil.copytree(made / "export", tmp_path / "export")
    path = tmp_path / "export" / "model.json"
    described = json.loads(path.read_text())
    card = described["members"][0]
    card |= {"mean": [round(v + 0.000123, 6) for v in card["mean"]]}
    assert card.pop("decimals") == 3  # a description of others does not say how many there are
    path.write_text(json.dumps(described))
    out = command(tmp_path, tmp_path / "out")
    numbers = open_bundle(out).steps["normalize"]["mean"]
    assert [float(part) for part in numbers.split(", ")] == card["mean"]
    assert "mean and std of at most 6 decimals" in (out / "DEPLOY.md").read_text()
    assert sdk_rules.problems(out) == []


@pytest.mark.parametrize("sdk", KINDS)
def test_manifest_names_the_releases_and_every_file(kinds: dict[str, Path], sdk: str) -> None:
    listing = json.loads((kinds[sdk] / "MANIFEST.json").read_text())
    ranges = {
        "1.2": {"least": "1.2.5", "below": "1.3"},
        "1.6": {"least": "1.6.0", "below": "1.8"},
        "1.8": {"least": "1.8.0", "below": "1.9"},
    }
    names = KINDS[:3] if sdk == "all" else (sdk,)
    kept = 3 if "1.2" in names else 6
    assert listing["sdk"] == {"profiles": {n: ranges[n] for n in names}, "decimals": kept}
    files = {n: hashlib.sha256(c).hexdigest() for n, c in content(kinds[sdk]).items()}
    del files["MANIFEST.json"]
    assert listing["files"] == files
    assert manifest.problems(kinds[sdk]) == []


def torch_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A torch that gives arrays back: this environment has none."""
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(from_numpy=lambda array: array))


@pytest.mark.parametrize("sdk", KINDS)
def test_axcompile_s_transform_is_the_picture_path_to_the_last_bit(
    kinds: dict[str, Path], sdk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kinds[sdk] / "preprocess.py"
    line = "import runpy, sys; runpy.run_path(sys.argv[1]); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", line, str(path)], check=True)
    found, steps = preprocess_file.load(path), open_bundle(kinds[sdk]).steps
    (card,) = models.load(kinds[sdk].parent / "export")
    sharp = dataclasses.replace(card, eight_bit=True)
    torch_of_numpy(monkeypatch)
    rng = np.random.default_rng(0)
    for height, width in ((32, 32), (96, 96), (17, 61), (48, 48)):
        picture = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        made = found["get_preprocess_transform"](Image.fromarray(picture))
        assert (made.shape, made.dtype) == ((1, 3, 48, 48), np.float32)
        np.testing.assert_array_equal(made, preprocess(picture[None], steps))
        whole = models.preprocess(picture[None].astype(np.float32), sharp)
        np.testing.assert_array_equal(made, whole)
        np.testing.assert_array_equal(found["get_preprocess_transform"](picture), made)
    grey = Image.fromarray(picture).convert("L")
    same = found["get_preprocess_transform"](grey.convert("RGB"))
    np.testing.assert_array_equal(found["get_preprocess_transform"](grey), same)


@pytest.mark.parametrize("sdk", KINDS)
def test_deploy_says_how_with_each_release(kinds: dict[str, Path], sdk: str) -> None:
    text = (kinds[sdk] / "DEPLOY.md").read_text()
    names = KINDS[:3] if sdk == "all" else (sdk,)
    assert [name for name in KINDS[:3] if f"## SDK {name}\n" in text] == list(names)
    drivers = {"1.2": "metis-dkms 0.07.16", "1.6": "metis-dkms 1.4.16", "1.8": "metis-dkms 1.6.2"}
    for name, driver in drivers.items():
        assert (driver in text) == (name in names)
    assert "--num-cal-images 210 --mode QUANTIZE\n" in text
    for part in ("**Install.**", "**Deploy.**", "**Quantise only**", "**Run and measure**"):
        assert text.count(part) == len(names)
    assert text.count("**Compile again**") == len(names)
    assert ("--pipe=quantized" in text) == ("1.2" in names)
    assert ("SDK 1.2.5 draws them at random" in text) == ("1.2" in names)
    assert ("This release reads no TOML and takes its defaults" in text) == (sdk == "all")
    assert ("(ptq_scheme per_tensor_histogram, max_compiler_cores 1)." in text) == (sdk == "1.2")
    assert ("SDK 1.8 takes the first ones by name" in text) == ("1.8" in names)
    assert ("axcompile -i" in text) == (names != ("1.2",))
    for name in {"1.6", "1.8"} & {*names}:
        assert f"axelera-rt=={name}.0 'axelera-devkit[all]=={name}.0'" in text
    assert "{" not in text.replace("{K}", "")


def toml(change: Callable[[str], str]) -> Callable[[Path], None]:
    """Change the TOML of a bundle."""

    def apply(folder: Path) -> None:
        path = folder / f"{NAME}.toml"
        path.write_text(change(path.read_text()))

    return apply


def source(change: Callable[[str], str]) -> Callable[[Path], None]:
    """Change preprocess.py of a bundle; the change must be one."""

    def apply(folder: Path) -> None:
        path = folder / "preprocess.py"
        before = path.read_text()
        path.write_text(change(before))
        assert path.read_text() != before

    return apply


def extra(**entries: object) -> Callable[[Path], None]:
    """Other entries of extra_kwargs."""
    return edit(lambda y: y["models"][NAME].update(extra_kwargs=entries))


def scheme(name: str) -> dict[str, object]:
    return {"quantization_config": {"ptq_scheme": name}}


def other_sdk(folder: Path) -> None:
    path = folder / "MANIFEST.json"
    said = json.loads(path.read_text())
    said["sdk"]["profiles"] = {"1.8": {"least": "1.0", "below": "2.0"}}
    del said["sha256"]
    path.write_text(json.dumps({"sha256": manifest.seal(said), **said}))


def more_pictures(folder: Path) -> None:
    few(folder)
    rng = np.random.default_rng(1)
    for place in range(401):
        tile = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)
        name = calibration.name_picture(place, place % 17, 900 + place)
        picture_files.save_picture(folder / "repr" / name, tile)


LONG = "0.1, 0.1, 0.0123"
NEW, OLD, EVERY = ("1.6", "1.8", "all"), ("1.2",), KINDS
UNFIT: dict[str, tuple[tuple[str, ...], Callable[[Path], object], str]] = {
    "three decimals": (
        ("1.2", "all"),
        edit(lambda y: steps(y)[2]["normalize"].update(std=LONG)),
        "std 0.0123 has more than 3 decimals, which SDK 1.2 cuts off",
    ),
    "six decimals": (
        ("1.6", "1.8"),
        edit(lambda y: steps(y)[2]["normalize"].update(mean="0.1, 0.1, 0.0123456")),
        "mean 0.0123456 has more than 6 decimals",
    ),
    "relative weights": (
        EVERY,
        edit(lambda y: y["models"][NAME].update(weight_path="model.onnx")),
        "path_forms: weight_path 'model.onnx' does not begin with $AXELERA_FRAMEWORK/",
    ),
    "absolute pictures": (
        EVERY,
        edit(lambda y: dataset(y).update(repr_imgs_dir_path="/data/repr")),
        "path_forms: repr_imgs_dir_path '/data/repr' does not begin",
    ),
    "no settings": (EVERY, edit(lambda y: y["models"][NAME].pop("extra_kwargs")), "keys: model"),
    "inline wins": (
        NEW,
        extra(compiler_config_file=f"{NAME}.toml", compilation_config=scheme("x")),
        "compiler: extra_kwargs has ['compilation_config', 'compiler_config_file']",
    ),
    "inline alone": (
        NEW,
        extra(max_compiler_cores=1, compilation_config=scheme("per_tensor_histogram")),
        "expected ['compiler_config_file']",
    ),
    "toml alone": (OLD, extra(compiler_config_file=f"{NAME}.toml"), "extra_kwargs has ['compiler"),
    "variable in the name": (
        NEW,
        extra(compiler_config_file=f"$AXELERA_FRAMEWORK/customers/{NAME}/{NAME}.toml"),
        f"expected the bare name {NAME}.toml: no variable in it is replaced",
    ),
    "toml of the sdk": (NEW, extra(compiler_config_file="resnet18.toml"), "expected the bare"),
    "no toml": (NEW, lambda f: (f / f"{NAME}.toml").unlink(), f"{NAME}.toml is not there"),
    "not toml": (NEW, toml(lambda t: t.replace('"', "", 1)), f"{NAME}.toml is not TOML"),
    "no scheme": (NEW, toml(lambda t: t.replace("quantization", "ptq")), "expected ["),
    "unknown key": (NEW, toml(lambda t: f"{t}frequency = 8\n"), f"{NAME}.toml has ['aipu_cores_u"),
    "unknown scheme": (
        NEW,
        toml(lambda t: t.replace("per_tensor_histogram", "entropy")),
        "quantisation scheme 'entropy', expected one of per_tensor_histogram, per_tensor_min_max",
    ),
    "five cores": (NEW, toml(lambda t: t.replace("used = 1", "used = 5")), "5 cores, expected 1"),
    "share": (NEW, toml(lambda t: t.replace("0.25", "0.3")), "resources_used is 0.3, expected"),
    "unread scheme": (
        ("all",),
        toml(lambda t: t.replace("histogram", "min_max")),
        f"SDK 1.2 reads no {NAME}.toml and takes per_tensor_histogram on one core",
    ),
    "old scheme": (
        OLD,
        extra(max_compiler_cores=1, compilation_config=scheme("entropy")),
        "quantisation scheme 'entropy'",
    ),
    "old cores": (
        OLD,
        extra(max_compiler_cores=0, compilation_config=scheme("per_tensor_min_max")),
        "0 cores, expected 1 to 4",
    ),
    "flat inline": (
        OLD,
        extra(max_compiler_cores=1, compilation_config={"a": {"quantization_scheme": "x"}}),
        "compilation_config has a: quantization_scheme, expected quantization_config",
    ),
    "too many pictures": (NEW, more_pictures, "412 calibration pictures, of which SDK 1."),
    "no transform": (EVERY, lambda f: (f / "preprocess.py").unlink(), "does not run (FileNot"),
    "broken transform": (EVERY, source(lambda t: f"{t}\nx ="), "does not run (Syntax"),
    "other name": (EVERY, source(lambda t: t.replace("get_pre", "pre")), "has no get_preproce"),
    "other mean": (EVERY, source(lambda t: t.replace("MEAN = (0", "MEAN = (1")), "different input"),
    "other size": (EVERY, source(lambda t: t.replace("SIZE = 48", "SIZE = 49")), "different input"),
    "rounded resize": (EVERY, source(lambda t: t.replace(">> 4", ">> 5 << 1")), "different input"),
    "releases": (EVERY, other_sdk, "release: MANIFEST.json names {'profiles': {'1.8': {'least'"),
    "no releases": (EVERY, lambda f: (f / "MANIFEST.json").unlink(), "expected profiles of t"),
    "flipped": (
        EVERY,
        lambda f: (f / "MANIFEST.json").write_text((f / "MANIFEST.json").read_text() + " x"),
        "release: ",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("sdk", "how"), [(k, how) for how in UNFIT for k in UNFIT[how][0]])
def test_broken_rule_of_a_release_is_caught(
    kinds: dict[str, Path], tmp_path: Path, sdk: str, how: str
) -> None:
    shutil.copytree(kinds[sdk], tmp_path / "out")
    _, change, message = UNFIT[how]
    change(tmp_path / "out")
    assert message in problems(tmp_path / "out")


@pytest.mark.parametrize("sdk", ["1.2", "1.6", "all"])
@pytest.mark.parametrize("how", ["unpadded", "reserved", "by row alone", "opset"])
def test_what_all_releases_refuse_is_caught_in_each(
    kinds: dict[str, Path], tmp_path: Path, sdk: str, how: str
) -> None:
    shutil.copytree(kinds[sdk], tmp_path / "out")
    change, message = BROKEN[how]
    change(tmp_path / "out")
    assert message in problems(tmp_path / "out")


def test_more_pictures_than_later_releases_take_go_to_the_first_alone() -> None:
    Deployment(sdk="1.2").check(2000)
    Deployment(sdk="1.8").check(400)
    with pytest.raises(StageError, match="expected at most 400 for --sdk all, found 401"):
        Deployment(sdk="all").check(401)


# Refusals.


def four_bands(card: dict) -> None:
    card.update(bands=["B2", "B3", "B4", "B8"], mean=[0.1] * 4, std=[0.1] * 4)


def optical_and_radar(card: dict) -> None:
    card.update(bands=["B2", "B3", "B4", "B8", "VH"], mean=[0.1] * 5, std=[0.1] * 5)


@pytest.mark.parametrize(
    ("spoil", "flag", "message"),
    [
        (four_bands, "", "expected a network of three bands"),
        (four_bands, "", "(4 channels: the SDK's picture path feeds them as RGBA or BGRA)"),
        (
            optical_and_radar,
            "",
            "(5 channels: the SDK's picture path feeds 1, 3 or 4 channels; others go in as tensors "
            "through axelera.runtime alone)",
        ),
        (
            lambda c: c.update(features=3),
            "",
            "(2 inputs: the SDK's picture path feeds one picture of 1, 3 or 4 channels; several",
        ),
        (lambda c: c.update(interpolation="nearest"), "", "expected interpolation bilinear"),
        (lambda c: c.update(mean=[0.1234567, 0.1, 0.1]), "", "at most 6 decimals"),
        (lambda c: c.update(mean=[0.1234, 0.1, 0.1]), "--sdk=1.2", "at most 3 decimals"),
        (lambda c: c.update(mean=[0.1234, 0.1, 0.1]), "--sdk=all", "distill --decimals 3"),
        (lambda c: c.update(decimals="six"), "", "not a model description (decimals)"),
        (None, "--sdk=1.7", "--sdk: expected 1.2, 1.6, 1.8 or all, found '1.7'"),
        (None, "--cores=5", "--cores: expected 1 to 4, found 5"),
        (None, "--scheme=entropy", "--scheme: expected per_tensor_histogram, per_t"),
        (None, "--calibration=401", "expected at most 400 for --sdk 1.8, found 401"),
        (lambda c: c.update(classes=["a", "b"]), "", "expected the 2 classes"),
        (
            lambda c: c.update(file="none.onnx"),
            "",
            "none.onnx: expected the network that model.json names",
        ),
        (lambda c: c.update(file="model.json"), "", "not a usable ONNX file"),
        (
            lambda c: c.update(size=64),
            "",
            "expected the input [1, 3, 64, 64] in float32, as export",
        ),
        (
            lambda c: c.update(file="../x.onnx"),
            "",
            "expected ONNX files beside it, found '../x.onnx",
        ),
        (lambda c: c.update(features=3), "", "an image input, found 1 networks, 3 tda features"),
        (lambda c: c.update(colour=3), "", "not a model description (unknown entry 'colour')"),
        (None, "--calibration=199", "--calibration: expected 200 to 2000, found 199"),
        (None, "--name=My_Net", "--name: expected a to z"),
        (None, "--name=config", "at least one hyphen, found 'config': a plain word"),
        (None, "--per_class_val=-1", "--per_class_val: expected at least 0"),
        (None, "--seed=-1", "--seed: expected at least 0, found -1"),
        (
            lambda c: c.update(eight_bit=True),
            "--range=fitted",
            "--range: expected published, with which this network was trained, found fitted",
        ),
        (
            lambda c: c.update(low=[0.0] * 3, high=[0.5] * 3),
            "--range=published",
            "--range: expected fitted, with which this network was trained, found published",
        ),
        (lambda c: c.update(low=[0.0] * 3), "", "not a model description (high)"),
        (None, "--calibrate=200", "no such flag; did you mean --calibration?"),
    ],
)
def test_refuses(
    made: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[dict], None] | None,
    flag: str,
    message: str,
) -> None:
    shutil.copytree(made / "export", tmp_path / "export")
    (tmp_path / "prepare").symlink_to(made / "prepare")
    if spoil:
        path = tmp_path / "export" / "model.json"
        description = json.loads(path.read_text())
        spoil(description["members"][0])
        path.write_text(json.dumps(description))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit, match="2"):
        command(tmp_path, tmp_path / "made" / "out", *filter(None, [flag]))
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error
    assert sorted(tmp_path.rglob("*")) == before  # nothing left behind


def test_a_network_that_export_did_not_write_is_refused_first(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before any picture is written."""
    files = [made / "prepare" / f"{name}ing.h5" for name in ("train", "test")]
    networks.student(tmp_path / "export", files[0], files[1], batch="N")
    (tmp_path / "prepare").symlink_to(made / "prepare")
    with pytest.raises(SystemExit, match="2"):
        command(tmp_path, tmp_path / "out")
    (line,) = capsys.readouterr().err.splitlines()
    assert "student.onnx: expected the input [1, 3, 48, 48] in float32, as export writes" in line
    assert line.endswith("found [['N', 3, 48, 48]]; give the folder of export")


@pytest.mark.parametrize(
    ("which", "rows", "message"),
    [
        ("training", 34, "34 usable calibration pictures of 34 rows"),
        ("testing", 16, "no row of class 17_Water"),
    ],
)
def test_refuses_too_few_rows(
    made: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    which: str,
    rows: int,
    message: str,
) -> None:
    for part in ("export", "prepare"):
        shutil.copytree(made / part, tmp_path / part)
    write_patches(tmp_path / "prepare" / f"{which}.h5", wide(rows, 2))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit, match="2"):
        command(tmp_path, tmp_path / "out")
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert sorted(tmp_path.rglob("*")) == before


def test_bundle_of_classes_with_odd_names(made: Path, tmp_path: Path) -> None:
    """They break neither YAML, labels and folders nor the sheet, and stay in their order."""
    classes = [*hostile.ODD.values(), *lcz.CLASSES[len(hostile.ODD) :]]
    shutil.copytree(made / "prepare", tmp_path / "prepare")
    shutil.copytree(made / "export", tmp_path / "export")
    for path in (tmp_path / "prepare").glob("*.h5"):
        with h5py.File(path, "r+") as file:
            file.attrs["classes"] = classes
    card = json.loads((tmp_path / "export" / "model.json").read_text())
    card["members"][0] |= {"classes": classes, "architecture": hostile.ODD["yaml"]}
    (tmp_path / "export" / "model.json").write_text(json.dumps(card))
    out = command(tmp_path, tmp_path / "out")
    assert sdk_rules.problems(out) == []
    opened = open_bundle(out)
    assert len(opened.labels) == 17
    assert opened.yaml["description"].startswith(f"{hostile.ODD['yaml']}, 17 classes")
    for path, k in opened.pictures():
        assert int(path.stem) % 17 == k
    with Image.open(out / "calibration.png") as picture:
        assert picture.size[1] == 17 * 32
