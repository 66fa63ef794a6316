"""map: a scene and a classifier to a map of classes with its uncertainty."""

from pathlib import Path

from shared import cli
from shared.errors import StageError
from stages.map.settings import Cells, Drawing, Network


def check_use(
    network: Network, drawing: Drawing, scores: Path | None, calibration: Path | None, shard: str
) -> None:
    """Refuse flags that would change nothing.

    Raises:
        StageError: how networks see a scene where none is run; what is drawn of a part.
    """
    if scores and network != Network(threads=network.threads):
        raise StageError(
            "--scores: expected neither --precision nor --match with it, as no network is run"
        )
    if shard != "1/1" and (calibration or drawing != Drawing()):
        raise StageError(
            f"--shard: expected no flags of drawing (--filter, --calibration, …) with {shard}, "
            "as a part is not drawn; give them with --scores once merge has joined the parts"
        )


def run(
    *,
    src: Path,
    dst: Path,
    model: Path | None = None,
    scores: Path | None = None,
    calibration: Path | None = None,
    training: Path | None = None,
    cells: Cells = Cells(),
    network: Network = Network(),
    drawing: Drawing = Drawing(),
    shard: str = "1/1",
) -> None:
    """Classify overlapping windows of a scene and draw the map: GeoTIFF, tables, picture, page.

    Args:
        src: scene file.
        dst: folder to write: classes.tif, confidence.tif, scores.h5, area.csv, map.json,
            quicklook.png, map.html, item.json. With a --shard other than 1/1 a file, the scores of
            some rows of cells; merge joins such files.
        model: model folder of distill, teacher or export, or ONNX files of others beside their
            description.
        scores: instead of --model, scores.h5 of an earlier map of this scene, or what merge made of
            the shards: the map is drawn of it, and no network is run.
        calibration: with --coverage, the JSON that calibrate makes of the scores of this network:
            certain.tif, set_size.tif and coverage.json are written, too.
        training: patch file of the training split, whose statistics --match takes where the
            model's card tells none.
        shard: "i/n" classifies the i-th of n equal runs of rows of cells.
    """
    check_use(network, drawing, scores, calibration, shard)
    if (model is None) == (scores is None):
        given = "both" if model else "none"
        raise StageError(f"--model: expected either a model folder or --scores, found {given}")
    if training and not network.match:
        raise StageError(
            "--training: expected with --match, whose statistics it has; found it alone"
        )
    from stages.map import abstaining, product
    from stages.map import drawing as drawn

    abstaining.check(calibration, drawing.coverage)

    if model:
        product.classify(src, dst, model, cells, network, shard=shard, training=training)
    if scores:
        product.take(src, dst, scores, cells, shard)
    if calibration and shard == "1/1":
        abstaining.draw(src, dst, calibration, cells, drawing.coverage)
    if shard == "1/1":
        drawn.draw(src, dst, cells, drawing)


if __name__ == "__main__":
    cli.main(run)
