"""Good inputs for every stage, small, and the ways in which they are broken."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from shared import lcz
from shared.models import scores
from shared.scenes import Grid, Header, create_scene
from tests import pair_files, tile_files
from tests.conftest import pixels, write_patches, write_raw

ROOT = Path(__file__).resolve().parents[2]
BROKEN = 3  # the first row that is wrong
CODE = {
    "models": """
import sys; from pathlib import Path; from tests import networks
here = Path(sys.argv[1])
for name, batch in (("student", "N"), ("exported", 1)):
    networks.student(here / name, here / "train.h5", here / "test.h5", batch=batch)
""",
    "sisr": """
import sys; from pathlib import Path; from tests import client_networks
client_networks.trained(Path(sys.argv[1]) / "sisr", ("B2", "B8"))
""",
    "pair": """
import sys; from pathlib import Path; from tests import client_networks
client_networks.pair(Path(sys.argv[1]) / "pair", ("B2", "B8", "B5"))
""",
    "pictures": """
import sys; import numpy; from pathlib import Path; from PIL import Image
for name in ("Forest", "River"):
    folder = Path(sys.argv[1]) / "pictures" / name
    folder.mkdir(parents=True)
    for i in range(5):
        pixels = numpy.random.default_rng(i).integers(0, 255, (64, 64, 3), numpy.uint8)
        Image.fromarray(pixels).save(folder / f"{name}_{i}.jpg")
""",
    "aerial": """
import sys; import numpy; import rasterio; from pathlib import Path
for kind, bands in (("images", 3), ("masks", 1)):
    folder = Path(sys.argv[1]) / "aerial" / kind
    folder.mkdir(parents=True)
    for i in range(3):
        pixels = numpy.random.default_rng(i).integers(0, 5, (bands, 512, 512), numpy.uint8)
        with rasterio.open(
            folder / f"{i}.tif", "w", driver="GTiff", height=512, width=512, count=bands,
            dtype="uint8", crs="EPSG:2180", transform=(0.5, 0, 5e5, 0, -0.5, 6e5),
        ) as file:
            file.write(pixels)
""",
    "pairs": """
import sys; from pathlib import Path; from stages.two_sensors.main import run
run(dst=Path(sys.argv[1]) / "sensors", sites=3, patches=1, size=32)
""",
    "resolvers": """
import sys; from pathlib import Path; from tests import sisr_networks
for name in ("resolver", "other-resolver"):
    sisr_networks.write(Path(sys.argv[1]) / name, sisr_networks.card())
sisr_networks.write_registration(Path(sys.argv[1]) / "registration")
""",
    "weights": """
import sys; from pathlib import Path; from stages.sr_train.main import Learning, run
from stages.sr_train.methods import Size
from shared.sr.methods import load_all
here = Path(sys.argv[1])
for name, method in load_all().items():
    size = Size(width=8, depth=(1,), heads=2 if method.train.network == "swinir" else 0)
    run(src=here / "train.h5", dst=here / f"{name}.safetensors", method=name, device="cpu",
        scale=method.variants[0], size=size, learning=Learning(steps=1, batch=4, rows=0))
""",
}


def under(stage: str, code: str, folder: Path) -> None:
    """Run a few lines in a stage's own environment."""
    python = ROOT / ".venvs" / stage / "bin" / "python"
    done = subprocess.run([python, "-c", code, folder], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def make(folder: Path) -> None:
    """Patch files, shards, score folders; networks and pictures where their stage's tools are."""
    write_raw(folder / "raw.h5", pixels(34))
    np.save(folder / "l1c.npy", np.full((40, 40, 10), 900, np.uint16))
    write_patches(folder / "train.h5", pixels(221))
    test = pixels(34, seed=1)
    write_patches(folder / "test.h5", test)
    shutil.copyfile(folder / "test.h5", folder / "cities.h5")
    with h5py.File(folder / "cities.h5", "r+") as file:
        file["city"] = np.arange(34, dtype="i4") % 2
    write_patches(folder / "x2.h5", test | {"sen2": test["sen2"].repeat(2, 1).repeat(2, 2)})
    with h5py.File(folder / "geo.h5", "w") as file:
        file["epsg"], file["tfw"] = np.full(34, 32632), np.full((34, 6), 1e5)
    with h5py.File(folder / "features.h5", "w") as file:
        file["grid"], file["label"] = np.ones((10, 2, 2, 2)), test["label"]
    for i in (1, 2):
        write_patches(folder / f"part-{i}.h5", pixels(34), shard=f"{i}/2")
        score_folder(folder / f"scores-{i}")
    with create_scene(folder / "scene.h5", (64, 96), Header(Grid.utm(32632, 6e5, 53e5))) as scene:
        for window in scene.todo():
            scene.put(window, pixels(6)["sen2"].reshape(64, 96, 10))
    tile_files.write(folder / "tiles.h5", tile_files.draw(4, 32))
    pair_files.write(folder / "pairs.h5", pair_files.form(16))
    (folder / "mirror").mkdir()
    (folder / "mirror" / "edsr64_x2.pt").write_bytes(bytes(99_000))
    tools = (("export", "models"), ("eurosat", "pictures"), ("sr_train", "weights"),
             ("landcover", "aerial"), ("two_sensors", "pairs"),
             ("sisr_eval", "resolvers"), ("sisr_export", "sisr"),
             ("scene_sr", "pair"))  # fmt: skip
    for stage, code in tools:
        if (ROOT / ".venvs" / stage / "bin" / "python").exists():
            under(stage, CODE[code], folder)


def other_kind(good: Path, bad: Path) -> None:
    """A scene file that says it is something else."""
    bad.write_bytes(good.read_bytes())
    with h5py.File(bad, "r+") as file:
        file.attrs["kind"] = "patches"


def score_folder(folder: Path, rows: tuple[int, int] = (221, 34)) -> None:
    """Scores as teacher leaves them, for so many rows of train.h5 and test.h5."""
    folder.mkdir()
    train, test = (np.arange(count) % 17 for count in rows)
    scores.write(folder, test, scores.softmax(3 * np.eye(17)[test]), lcz.CLASSES)
    np.save(folder / "test_logits.npy", 3 * np.eye(17, dtype=np.float32)[test])
    np.save(folder / "train_logits.npy", 3 * np.eye(17, dtype=np.float32)[train])
    np.save(folder / "train_labels.npy", train)
    np.save(folder / "out_of_fold_scores.npy", scores.softmax(3 * np.eye(17)[train]))


# --- broken patch files: (file to break, where to write) ------------------------------------------
def cut(good: Path, bad: Path) -> None:
    """The first half of any file."""
    bad.write_bytes(good.read_bytes()[: good.stat().st_size // 2])


def edited(
    change: Callable[[dict[str, np.ndarray]], object], as_stored: bool = False
) -> Callable[[Path, Path], None]:
    """A patch file with a change; its images in floating point, as they may come from anywhere."""

    def write(good: Path, bad: Path) -> None:
        with h5py.File(good) as source, h5py.File(bad, "w") as file:
            arrays = {name: np.asarray(data) for name, data in source.items()}
            kept = {name: dict(data.attrs) for name, data in source.items()}
            for name in arrays.keys() & {"sen1", "sen2"} if not as_stored else ():
                unit = kept[name].get("per_unit", 1.0)
                arrays[name] = (arrays[name] / unit).astype(np.float32)
                kept[name] |= {"per_unit": 1.0} if kept[name] else {}
            change(arrays)
            for name, array in arrays.items():
                file[name] = array
                file[name].attrs.update(kept.get(name, {}))
            file.attrs.update(source.attrs)

    return write


def no_class(arrays: dict[str, np.ndarray]) -> None:
    """A pixel of a tile with a number that is no class."""
    arrays["mask"][BROKEN, 4, 5] = 77


def rename(arrays: dict[str, np.ndarray]) -> None:
    """Datasets by the names of another project."""
    arrays |= {"images": arrays.pop("sen2"), "labels": arrays.pop("label")}
    del arrays["sen1"]


def drop_channel(arrays: dict[str, np.ndarray]) -> None:
    for name in ("sen1", "sen2"):
        arrays[name] = arrays[name][..., :-1]


def add_nan(arrays: dict[str, np.ndarray]) -> None:
    for name in ("sen1", "sen2"):
        if np.issubdtype(arrays[name].dtype, np.floating):
            arrays[name][BROKEN:, 4, 5] = np.nan


def add_nan_as_stored(arrays: dict[str, np.ndarray]) -> None:
    """In the numbers of the file, as its twin split has them, but in floating point."""
    for name in ("sen1", "sen2"):
        arrays[name] = arrays[name].astype(np.float32)
    add_nan(arrays)


def digital_numbers(arrays: dict[str, np.ndarray]) -> None:
    """Reflectance times 10,000, in whichever unit it is stored, and in floating point."""
    arrays["sen2"] = np.rint(arrays["sen2"].astype(np.float32) * 1e4)


def missing(arrays: dict[str, np.ndarray]) -> None:
    """No value but the mark of missing data, also after a division by 10,000."""
    arrays["sen2"] = np.full_like(arrays["sen2"], -9999e4, np.float32)


def class_numbers(arrays: dict[str, np.ndarray]) -> None:
    arrays["label"] = arrays["label"].argmax(1)


def clip_in_words(good: Path, bad: Path) -> None:
    """An attribute that is a text where a truth value should be."""
    bad.write_bytes(good.read_bytes())
    with h5py.File(bad, "r+") as file:
        for name in ("sen1", "sen2"):
            file[name].attrs["clip"] = "no"


def two_classes(arrays: dict[str, np.ndarray]) -> None:
    arrays["label"][BROKEN] = 1


# --- other broken files ---------------------------------------------------------------------------
def text(good: Path, bad: Path) -> None:
    """No model, no picture, no weights, no table."""
    bad.write_text(f"this is not {good.name}\n")


def nan_npy(good: Path, bad: Path) -> None:
    array = np.load(good)
    array[BROKEN] = np.nan
    np.save(bad, array)


def no_json(good: Path, bad: Path) -> None:
    bad.write_text(json.dumps(json.loads(good.read_text()))[:-5])
