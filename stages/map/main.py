"""map: a scene or orthophoto and a network to a map of classes with its uncertainty."""

from pathlib import Path

from shared import cli
from shared.errors import StageError
from stages.map.settings import Cells, Drawing, Network, Tiles


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
    if scores and shard != "1/1":
        raise StageError(
            f"--shard: expected 1/1 with --scores, found {shard}; nothing is to be run"
        )
    if shard != "1/1" and (calibration or drawing != Drawing()):
        raise StageError(
            f"--shard: expected no flags of drawing (--filter, --calibration, …) with {shard}, "
            "as a part is not drawn; give them with --scores once merge has joined the parts"
        )


def check_kind(src: Path, photos: bool, flags: dict[str, bool]) -> None:
    """Refuse flags that concern scenes with an orthophoto, and the other way round.

    Args:
        src: what is mapped.
        photos: whether it is an orthophoto or a folder of some.
        flags: whether each of these flags, which concern the other kind, is given.

    Raises:
        StageError: names the first one that is.
    """
    given = next((flag for flag, is_given in flags.items() if is_given), None)
    if given:
        kind, other = ("an orthophoto", "a scene file") if photos else ("a scene", "an orthophoto")
        raise StageError(f"{given}: concerns {other}, found {kind}: {src}")


def run(
    *,
    src: Path,
    dst: Path,
    model: Path | None = None,
    scores: Path | None = None,
    calibration: Path | None = None,
    training: Path | None = None,
    cells: Cells = Cells(),
    tiles: Tiles = Tiles(),
    network: Network = Network(),
    drawing: Drawing = Drawing(),
    shard: str = "1/1",
) -> None:
    """Classify a scene or orthophotos and draw the map: GeoTIFF, tables, picture, page.

    Args:
        src: scene file; or an orthophoto (GeoTIFF, PNG or JPEG of red, green, blue), or a folder of
            such, also in the layout of LandCover.ai, whose masks are then compared with the maps.
        dst: folder to write: classes.tif, confidence.tif, scores.h5, area.csv, map.json,
            quicklook.png, map.html, item.json; for a folder of orthophotos one such folder for each
            of them. With a --shard other than 1/1 a file, the scores of some rows; of a folder, a
            folder of such files; merge joins the files of one map.
        model: for a scene, model folder of distill, teacher or export, or ONNX files of others
            beside their description; for orthophotos, product of segment, or of its export.
        scores: instead of --model, scores.h5 of an earlier map of this scene, or what merge made of
            the shards: the map is drawn of it, and no network is run. For a folder of orthophotos a
            folder: an earlier map, or NAME.h5 for each of them.
        calibration: with --coverage, the JSON that calibrate makes of the scores of this network:
            certain.tif, set_size.tif and coverage.json are written, too. For scenes.
        training: patch file of the training split, whose statistics --match takes where the
            model's card tells none.
        shard: "i/n" classifies the i-th of n equal runs of rows: of cells, or of pixels of each
            orthophoto.
    """
    check_use(network, drawing, scores, calibration, shard)
    if (model is None) == (scores is None):
        given = "both" if model else "none"
        raise StageError(f"--model: expected either a model folder or --scores, found {given}")
    if training and not network.match:
        raise StageError(
            "--training: expected with --match, whose statistics it has; found it alone"
        )
    from stages.map import abstaining, orthophotos

    abstaining.check(calibration, drawing.coverage)
    if orthophotos.are_given(src):
        check_kind(src, True, {
            "--step, --window, --max_masked": cells != Cells(), "--match": network.match,
            "--calibration": bool(calibration), "--form wudapt": drawing.form == "wudapt",
        })  # fmt: skip
        from stages.map import photo_maps

        work = photo_maps.Work(src, model, scores, tiles, network, drawing=drawing, shard=shard)
        photo_maps.make(dst, work)
        return
    check_kind(src, False, {"--tile, --overlap, --batch": tiles != Tiles()})
    from shared.scenes import open_scene
    from stages.map import drawing as drawn
    from stages.map import product

    if model:
        product.classify(src, dst, model, cells, network, shard=shard, training=training)
    if scores:
        product.take(src, dst, scores, cells)
    if calibration and shard == "1/1":
        abstaining.draw(src, dst, calibration, cells, drawing.coverage)
    if shard == "1/1":
        with open_scene(src) as scene:
            drawn.draw(scene, dst, cells, drawing)


if __name__ == "__main__":
    cli.main(run)
