"""What stages that train, draw or quantise do with an HDF5 file before that: their own functions.

Each one is a stage for `shared.cli`, whose product says that it came to its end.
"""

from pathlib import Path

from shared import models, patches
from shared.models import Card


def _card(source: patches.Source) -> Card:
    """A network for three bands of the file, as `distill` describes it."""
    bands = ("B4", "B3", "B2")
    mean, std = models.band_statistics(source, bands)
    return Card("x.onnx", "resnet18", bands, mean, std, 16, "bilinear", source.classes)


def read_pairs(*, src: Path, dst: Path) -> None:
    """Read as sr-train.

    Args:
        src: patch file.
        dst: text.
    """
    from stages.sr_train import channels, pairs

    with patches.read(src, "sen2") as source:
        names = pairs.check_bands(source, 16)
        gather = channels.choose_gather(src, 1, names)
        pairs.load(source, names, 2, 0, gather)
    dst.write_text("read")


def read_split(*, src: Path, dst: Path) -> None:
    """Read as teacher, distill and fusion: labels, held-out rows, statistics, all bands.

    Args:
        src: patch file.
        dst: text.
    """
    from shared.training.data import holdout, split, stream

    with patches.read(src, "label") as source:
        classes = source.classes
        layouts = [source[name].layout for name in ("sen1", "sen2") if name in source]
        bands = [band for layout in layouts if layout for band in layout.bands]
        models.band_statistics(source, tuple(bands))
    labels = split.read_labels(src, classes)
    holdout.hold_out((src,), labels.numpy(), 0.2)
    stream.check_same_storage(split.locate_inputs(src, bands), split.locate_inputs(src, bands))
    split.read_bands(src, bands)
    dst.write_text("read")


def read_features(*, src: Path, dst: Path, beside: Path) -> None:
    """Read as fusion.

    Args:
        src: features file.
        dst: text.
        beside: another one, of the other split.
    """
    from shared.training.data import split
    from stages.fusion import topology_features as features

    features.count_features(src)
    features.check_same_grid(beside, src)
    features.split_statistics(split.Split({}, {}), "features", src)
    with patches.read(src, "label") as source:
        split.read_labels(src, source.classes)
    dst.write_text("read")


def read_images(*, src: Path, dst: Path, beside: Path) -> None:
    """Read as tda-plot.

    Args:
        src: features file.
        dst: text.
        beside: the patch file that it was made of.
    """
    from stages.tda_plot import files

    with patches.read(beside, "label") as source, patches.read(src, "features", "label") as made:
        both = files.match_files(source, made)
        files.means(both)
        both.images(slice(0, 2))
    dst.write_text("read")


def read_calibration(*, src: Path, dst: Path) -> None:
    """Read as export, for calibration and for the accuracy.

    Args:
        src: patch file.
        dst: text.
    """
    from stages.export import calibration, inference

    with patches.read(src, "label") as source:
        card = _card(source)
        rows = calibration.choose_rows(source.labels(), 1, 42)
        list(calibration.iterate_blocks(source, card, rows))
        list(inference.iterate_inputs(source, card, 8))
    dst.write_text("read")


def read_pictures(*, src: Path, dst: Path) -> None:
    """Read as voyager.

    Args:
        src: patch file.
        dst: text.
    """
    from stages.voyager import picture_files

    with patches.read(src, "label") as source:
        card = _card(source)
        queues = picture_files.shuffle_rows(source.labels(), len(card.classes), 42)
        picture_files.collect_calibration(source, card, queues, 200)
    dst.write_text("read")


def read_explained(*, src: Path, dst: Path) -> None:
    """Read as explain: labels, the rows of a sample as networks take them, patches to be shown.

    Args:
        src: patch file.
        dst: text.
    """
    from stages.explain import pictures, test_rows

    with patches.read(src, "label") as source:
        card, rows = _card(source), test_rows.sample(source.total, 6)
        labels = source.labels()[rows]
        test_rows.choose_by_class(labels, labels >= 0, 42)
        for row in rows:
            values = models.read_scaled(source, card.bands, slice(row, row + 1))
            models.preprocess(values, card)
        pictures.show_patches(source, rows, card.bands)
    dst.write_text("read")
