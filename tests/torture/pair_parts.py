"""What stages do first with image pairs of two sensors and with their networks, as in `parts`.

Each one is a stage for `shared.cli`, whose product says that it came to its end.
"""

from pathlib import Path

from shared import sisr

OFFSET = 1.0  # pixels that no flow exceeds, so that small pairs do


def describe_pairs(*, src: Path, dst: Path) -> None:
    """Read as sisr-benchmark-metrics, which needs no network.

    Args:
        src: pair file.
        dst: text.
    """
    with sisr.Pairs(src) as pairs:
        pairs.describe()
        for name in pairs.form.bands:
            pairs.statistics(name)
            pairs.source[name].raw(slice(None))
    dst.write_text("read")


def learn_pairs(*, src: Path, dst: Path) -> None:
    """Read as sisr-train before it learns: bands, scale, the images of the training rows.

    Args:
        src: pair file.
        dst: text.
    """
    from stages.sisr_train import bands, prepared, start

    with sisr.Pairs(src) as pairs:
        layout = bands.read_layout(pairs)
        start.measure_scale(pairs, layout)
        rows = pairs.choose("training", len(pairs.split))

        def make(row: bands.Row) -> dict[str, bands.Image]:
            return prepared.make_images(
                row, layout, mode="baseline", flows=None, wald=False, told=True
            )

        prepared.prepare(pairs, rows, make, "read")
    dst.write_text("read")


def register_pairs(*, src: Path, dst: Path) -> None:
    """Read as register before it learns: one band of every split.

    Args:
        src: pair file.
        dst: text.
    """
    from stages.register import images

    with sisr.Pairs(src) as pairs:
        band = images.choose_band(pairs, None, OFFSET)
        for split in ("training", "validation", "testing"):
            images.read(pairs, pairs.choose(split, len(pairs.split)), band, "read")
    dst.write_text("read")


def evaluate(*, src: Path, dst: Path) -> None:
    """Read as sisr-eval: a pair file, a network of sisr-train and one of register beside it.

    Args:
        src: folder of the network.
        dst: text.
    """
    from stages.sisr_eval import samples
    from stages.sisr_eval.contest import Contest

    place = src.parent
    with sisr.Pairs(place / "pairs.h5") as pairs:
        frame = samples.frame(pairs, 0)
        contest = Contest.of(pairs, frame, (place / "network",), place / "registration")
        contest.examine(samples.read(pairs, frame, 0))
    dst.write_text("read")


def export(*, src: Path, dst: Path) -> None:
    """Read as sisr-export: the pair for the client, of which the ONNX file is opened and tried.

    Args:
        src: folder of sisr-train.
        dst: folder.
    """
    from stages.sisr_export import exporting

    dst.mkdir()
    card = exporting.read_card(src)
    told = exporting.export(src, card, dst, "", 4)
    exporting.check_margin(told)
    exporting.open_network(told, 1, src)
