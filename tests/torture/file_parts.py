"""What stages do first with the files that are not HDF5: their own functions, as in `parts`."""

from collections.abc import Callable
from pathlib import Path

from shared import conformal, models, patches, scenes
from shared.models import label_audits, score_folders


def _scores(folder: Path) -> None:
    score_folders.read(folder)
    score_folders.read_out_of_fold(folder)


def _scene(path: Path) -> None:
    with scenes.open_scene(path) as scene:
        for window in scene.blocks():
            scene.window(*window)
            scene.valid(*window)
            if scene.has_truth:
                scene.truth(*window)


def _tiles(path: Path) -> None:
    from shared import tiles

    with patches.read(path, "image", "mask") as source:
        tiles.describe(tiles.read_table(source), training=True)
        tiles.list_names(source)
        source["mask"].raw(slice(None))


def _records(folder: Path) -> None:
    from shared.tools.provenance import chain
    from stages.report import inputs

    products = inputs.collect((folder / "part-1.h5",))
    for product in products:
        inputs.seeds(product, products)
        inputs.made_from(product, products)
        inputs.source_of(product, products)
    chain.trace(folder / "part-1.h5", folder)


def _bundle(folder: Path) -> None:
    from stages.export.check_commands import check_bundle

    check_bundle(folder, 1)


def _network(folder: Path) -> None:
    import numpy as np

    from stages.map import opening

    with (
        scenes.open_scene(folder.parent / "scene.h5") as scene,
        opening.open_models(folder, scene, "fp32", 1) as ensemble,
    ):
        values = np.zeros((32, 64, len(scene.bands)), np.float32)
        cuts = [member.cut(values[..., member.bands], 32, 32) for member in ensemble.members]
        ensemble.score(cuts, np.ones((1, 2), bool))


def _segmenter(folder: Path) -> None:
    import numpy as np

    from stages.map import segmenters

    with segmenters.open_models(folder, "fp32", 1, 1) as ensemble:
        list(ensemble.score([(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), bool))]))


def _taught(folder: Path) -> None:
    import torch

    from shared import models, tiles
    from stages.segment import teachers

    card = models.Card(
        "x.onnx", "tiny", ("red", "green", "blue"), (0.4,) * 3, (0.1,) * 3, 64, "bilinear",
        tiles.CLASSES, task="segmentation",
    )  # fmt: skip
    teachers.read(folder, card)(torch.zeros(1, 3, 64, 64))


def _timed(folder: Path) -> None:
    from stages.compare import latency

    latency.measure((folder,), 1)


def _photo(folder: Path) -> None:
    from stages.map import orthophotos

    for path in orthophotos.find(folder).values():
        mask = orthophotos.find_mask(folder, path)
        with orthophotos.open_orthophoto(path, mask) as photo:
            photo.window(0, 0, 64, 64)
            photo.valid(0, 0, 64, 64)
            photo.truth(0, 0, 64, 64)
            photo.picture(32)


def _learned_tiles(path: Path) -> None:
    from shared.segmentation import data
    from stages.segment import settings, start

    data.TileStream(path)[[0]]
    card = start.build_card(settings.Network(), path, 64)
    start.build_loss(settings.Loss(), path, card.classes)


def _adopted(folder: Path) -> None:
    from shared import lcz, onnx_graphs

    for card in onnx_graphs.read_cards(folder, lcz.CLASSES):
        onnx_graphs.adopt(folder / card.file, card)


def _keras(path: Path) -> None:
    from shared import keras_files

    keras_files.to_onnx(keras_files.read(path))


def _product(path: Path) -> None:
    from shared import lcz
    from shared.products import sources
    from stages.scene import blocks, main

    opened = sources.read(path, lcz.SEN2.bands)
    window = scenes.Window(0, 0, min(opened.shape[0], 64), min(opened.shape[1], 64))
    bands = opened.choose(lcz.SEN2.bands)
    main.describe(opened, window, lcz.SEN2.bands, "L2A")
    blocks.read_block(opened, bands, *window.slices)


def _orthophoto(folder: Path) -> None:
    from shared.tiles import rasters
    from stages.landcover import pairs

    try:
        for pair in pairs.list_pairs(folder / "images", folder / "masks"):
            for path in (pair.image, pair.mask):
                rasters.read_window(path, 0, 0, 64)
    finally:
        rasters.close_all()


def _picture(path: Path) -> None:
    from stages.eurosat import bands, pictures

    if path.suffix == ".tif":
        bands.read_bands(path, 64)
    else:
        pictures.read_rgb(path, 64)


# Who reads so is beside it.
WAYS: dict[str, Callable[[Path], object]] = {
    "scores": _scores,  # sumrule, compare, calibrate, audit
    "cards": models.load,  # every stage that takes a model folder
    "calibration": conformal.load,  # map, report
    "audit": label_audits.load,  # distill, report
    "scene": _scene,  # map
    "tiles": _tiles,  # stages that learn from tiles
    "records": _records,  # report, make provenance
    "bundle": _bundle,  # export's check
    "network": _network,  # map
    "segmenter": _segmenter,  # map, of orthophotos
    "taught": _taught,  # segment, as a teacher
    "timed": _timed,  # compare
    "photo": _photo,  # map
    "learned tiles": _learned_tiles,  # segment
    "adopted": _adopted,  # teacher, distill, export, explain
    "keras": _keras,  # teacher
    "product": _product,  # scene
    "orthophoto": _orthophoto,  # landcover
    "picture": _picture,  # eurosat
}


def read(*, src: Path, dst: Path, how: str) -> None:
    """Read an input in one of the ways.

    Args:
        src: file or folder.
        dst: text.
        how: name of the way.
    """
    WAYS[how](src)
    dst.write_text("read")
