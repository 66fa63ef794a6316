"""The good files that are not HDF5 of patches: small, each made by what makes it in the project."""

import shutil
import subprocess
from pathlib import Path

import numpy as np

from shared import conformal, lcz
from shared.models import label_audits
from shared.scenes import Grid, Header, create_scene
from shared.weight_files import safetensors_file, stored
from tests import keras_files, pair_files, tile_files, torch_files
from tests.conftest import pixels, write_patches
from tests.e2e.inputs import score_folder
from tests.torture.inputs import environment_python, write

ROOT = Path(__file__).resolve().parents[2]
SIDE = 32  # pixels of a tile
WEIGHTS = {"a.weight": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.zeros(2, np.float32)}
# What only a stage's environment can make: stage to lines; the folder is the first argument.
CODE = {
    "export": """
import onnx, shutil
from tests import networks
place = here / "networks"
place.mkdir()
for name, batch in (("student", "N"), ("exported", 1), ("matlab", "N")):
    networks.student(place / name, here / "train.h5", here / "test.h5", batch=batch)
    for unused in ("test_logits.npy", "test_labels.npy"):
        (place / name / unused).unlink()
(place / "matlab" / "model.json").unlink()
shutil.copyfile(here / "scene.h5", place / "scene.h5")
ours = onnx.load(place / "exported" / "student.onnx")  # named as our own exporter names its ends
ours.graph.node[-1].output[0] = ours.graph.output[0].name = "logits"
onnx.save(ours, place / "exported" / "student.onnx")
from shared import tiles
networks.segmentation(here / "segmenter", tiles.CLASSES)
""",
    "sisr_export": """
from tests import client_networks
client_networks.trained(here / "trained", ("B2", "B8"))
client_networks.pair(here / "client", ("B2", "B8", "B5"))
""",
    "scene": """
from tests import safe_products as made
late = made.make_safe(here, "L2A", "04.00")
early = made.make_safe(here, "L1C", "02.09")
for product, name in ((late, "l2a"), (early, "l1c"), (made.make_theia(here), "theia")):
    product.rename(here / name)
made.pack((here / "l1c")).rename(here / "packed.zip")
values = numpy.stack([made.numbers(band, 10, 12) for band in ("B02", "B03", "B04", "B08")] * 3)
made.write_image(here / "stack_L2A.tif", values[:10])
numpy.save(here / "scene.npy", values[:10].transpose(1, 2, 0))
rows = values.transpose(1, 2, 0)
numpy.savez(here / "scene.npz", b10m=rows[..., :4], b20m=rows[::2, ::2, :6])
""",
    "landcover": """
import rasterio
for kind, bands in (("images", 3), ("masks", 1)):
    folder = here / "aerial" / kind
    folder.mkdir(parents=True)
    pixels = numpy.random.default_rng(0).integers(0, 5, (bands, 64, 64), numpy.uint8)
    with rasterio.open(
        folder / "0.tif", "w", driver="GTiff", height=64, width=64, count=bands, dtype="uint8",
        crs="EPSG:2180", transform=(0.5, 0, 5e5, 0, -0.5, 6e5),
    ) as file:
        file.write(pixels)
""",
    "pairs": """
sys.path.insert(0, ".")
from tests.torture import pair_inputs
pair_inputs.make(here)
""",
    "sisr_eval": """
from tests import pair_files, sisr_networks
place = here / "resolvers"
place.mkdir()
pair_files.write(place / "pairs.h5", pair_files.form(8))
sisr_networks.write(place / "network", sisr_networks.card())
sisr_networks.write_registration(place / "registration")
""",
    "eurosat": """
from PIL import Image
import tifffile
pixels = numpy.random.default_rng(0).integers(0, 255, (64, 64, 3), numpy.uint8)
for ending in ("jpg", "png"):
    Image.fromarray(pixels).save(here / f"picture.{ending}")
bands = numpy.random.default_rng(0).integers(0, 4000, (64, 64, 13), numpy.uint16)
tifffile.imwrite(here / "bands.tif", bands, photometric="minisblack", planarconfig="contig")
""",
    "voyager": """
from tests.ship import make_bundle
(here / "made").mkdir()
make_bundle.make(here / "made")
(here / "made" / "bundle").rename(here / "bundle")
""",
    "merge": """
from shared import cli
from stages.merge import main
import shutil
(here / "recorded").mkdir()
for name in ("part-1.h5", "part-2.h5"):
    shutil.copyfile(here / name, here / "recorded" / name)
parts = ",".join(str(here / "recorded" / f"part-{i}.h5") for i in (1, 2))
(here / "unfinished").mkdir()
product = here / "unfinished" / "product"
cli.main(main.run, [f"--src={parts}", f"--dst={product}"])
import json
plan = json.loads((here / "unfinished" / "product.run.json").read_text())["plan"]
known = [{"sha256": "0" * 64, "bytes": 2**31, "modified_ns": 1, "linked": []}]
text = json.dumps({**plan, "large_inputs": known})
(here / "unfinished" / "product.partial.json").write_text(text)
(here / "unfinished" / "product.run.json").rename(here / "recorded" / "part-1.h5.run.json")
product.rename(here / "recorded" / "part-1.h5")
for name in ("part-1.h5", "part-2.h5"):
    shutil.copyfile(here / name, here / "unfinished" / name)
shutil.copyfile(here / "recorded" / "part-1.h5", here / "unfinished" / "product.partial")
""",
}
# pytest is in no stage, and is only imported by what the lines import.
HEAD = (
    "import sys, numpy; from pathlib import Path; here = Path(sys.argv[1])\n"
    "sys.path.append('.venvs/pytest')\n"
)


def _audit(folder: Path) -> None:
    folder.mkdir()
    given = np.arange(34) % 17
    score = np.linspace(0, 1, 34)
    label_audits.save(
        folder, label_audits.Audit(lcz.CLASSES, given, (given + 1) % 17, score, score < 0.1)
    )


def _weights(folder: Path) -> None:
    arrays = {name: stored.Array("F32", array) for name, array in WEIGHTS.items()}
    safetensors_file.write(folder / "w.safetensors", arrays, {"format": "pt"})
    for name, legacy in (("w.pth", False), ("w.pt", True)):
        torch_files.write(folder / name, torch_files.flat(WEIGHTS), WEIGHTS, legacy)


def _descriptions(folder: Path) -> None:
    """The calibration of a classifier, and what MATLAB's exporter writes beside its networks."""
    strange = np.linspace(0.1, 0.9, 20)
    conformal.save(folder / "calibration.json", conformal.Calibration(lcz.CLASSES, "lac", strange))
    if (place := folder / "networks" / "matlab").is_dir():
        (place / "preprocessing.json").write_text(
            '{"bands": [4, 3, 2], "input": {"shape": [1, 3, 48, 48]}, "interpolation": "bilinear",'
            ' "scaling": {"optical": {"dst_range": [0, 255]}}, "zscore": {"enabled": true,'
            ' "mu": [20.5, 30, 40], "sigma": [10, 11, 12.5]}}'
        )


def _shrink_bundle(folder: Path) -> None:
    """Few pictures, and no manifest, which would refuse every change before it is read."""
    (folder / "MANIFEST.json").unlink(missing_ok=True)
    for pictures in [path for path in folder.rglob("*") if path.is_dir()]:
        for path in sorted(pictures.glob("*.png"))[1:]:
            path.unlink()


def make(folder: Path) -> None:
    """All good files of `file_readers.READERS`; those whose stage is not here are left out."""
    write_patches(folder / "train.h5", pixels(34))
    write_patches(folder / "test.h5", pixels(17, seed=1))
    for part in (1, 2):
        write(folder / f"part-{part}.h5", shard=f"{part}/2")
    with create_scene(folder / "scene.h5", (32, 64), Header(Grid.utm(32632, 6e5, 53e5))) as scene:
        for window in scene.todo():
            scene.put(window, pixels(2)["sen2"].reshape(32, 64, 10))
    tile_files.write(folder / "tiles.h5", tile_files.draw(4, SIDE))
    pair_files.write(folder / "pairs.h5", pair_files.form(16))
    score_folder(folder / "scores")
    _audit(folder / "audit")
    _weights(folder)
    tensors = keras_files.draw()
    keras_files.write(folder / "keras.h5", tensors, config=keras_files.configuration(tensors))
    for stage, code in CODE.items():
        if (python := environment_python(stage)).exists():
            done = subprocess.run(
                [python, "-c", HEAD + code, folder], cwd=ROOT, capture_output=True, text=True
            )
            if done.returncode:
                raise RuntimeError(f"{stage}: {done.stderr}")
    _descriptions(folder)
    if (folder / "bundle").is_dir():
        _shrink_bundle(folder / "bundle")
        shutil.rmtree(folder / "made")
