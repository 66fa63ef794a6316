"""Orthophotos and their masks to tile files, one for each split, with statistics."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared import cli, patches, tiles
from shared.errors import StageError
from shared.names import check_names

if TYPE_CHECKING:
    from stages.landcover.pairs import Pair, Tile

BATCH = 8  # rows that are read, then written: 8 MB
Pixels = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # image and mask


def pad(image: NDArray[np.uint8], mask: NDArray[np.uint8], side: int) -> Pixels:
    """A tile at the edge, brought to (side, side, 3) and (side, side): black, and ignored there."""
    high, wide = side - mask.shape[0], side - mask.shape[1]
    return (
        np.pad(image, ((0, high), (0, wide), (0, 0))),
        np.pad(mask, ((0, high), (0, wide)), constant_values=tiles.IGNORE),
    )


def read_tile(pair: "Pair", tile: "Tile", side: int, classes: int, ignore: int | None) -> Pixels:
    """(side, side, 3) image and (side, side) mask of a tile."""
    from shared.tiles import rasters

    image = rasters.read_window(pair.image, tile.top, tile.left, side)
    stored = rasters.read_window(pair.mask, tile.top, tile.left, side)[..., 0]
    where = f"{pair.mask}: tile {tile.number}"
    return pad(image, rasters.number_classes(stored, classes, ignore, where), side)


def write(
    dst: Path,
    pairs: "list[Pair]",
    rows: "list[Tile]",
    side: int,
    classes: tuple[str, ...],
    *,
    ignore: int | None,
    shard: str,
) -> None:
    """One tile file; rows that an earlier run wrote are kept."""
    from shared.tiles import rasters

    fields: dict[str, Any] = {**tiles.fields(side, len(classes))}
    writer = patches.Writer(
        dst, len(rows), shard, classes=classes,
        constants=tiles.constants([pair.name for pair in pairs]),
        **fields,
    )  # fmt: skip
    with writer as sink:
        for block in sink.todo(BATCH):
            here = rows[block]
            read = [read_tile(pairs[t.pair], t, side, len(classes), ignore) for t in here]
            sink.put(
                block,
                image=np.stack([image for image, _ in read]),
                mask=np.stack([mask for _, mask in read]),
                counts=np.stack([tiles.count_classes(mask, len(classes)) for _, mask in read]),
                image_moments=np.stack([tiles.sum_colours(*each) for each in read]),
                source=np.array([tile.pair for tile in here], np.int32),
                place=np.array([(t.number, t.top, t.left) for t in here], np.int32),
            )
    rasters.close_all()


def summarise(folder: Path, splits: list[str]) -> None:
    """Write statistics.json beside the tile files of these splits."""
    told = {}
    for split in splits:
        with patches.read(folder / f"{split}.h5", "image", "mask") as source:
            told[split] = tiles.describe(tiles.read_table(source), training=split == "training")
    (folder / "statistics.json").write_text(
        json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def run(
    *,
    dst: Path,
    src: Path | None = None,
    images: Path | None = None,
    masks: Path | None = None,
    split_lists: Path | None = None,
    partial: bool = False,
    validation_share: Annotated[float, cli.between(0, 1, below=True)] = 0.15,
    test_share: Annotated[float, cli.between(0, 1, below=True)] = 0.15,
    split_seed: Annotated[int, cli.at_least(0)] = 42,
    classes: tuple[str, ...] = tiles.CLASSES,
    ignore: Annotated[int | None, cli.between(0, 255)] = tiles.IGNORE,
    tile: Annotated[int, cli.between(32, 4096)] = tiles.SIDE,
    edges: Literal["leave", "pad"] = "leave",
    shard: str = "1/1",
) -> None:
    """Cut orthophotos and their masks into tiles, one file for each split.

    Args:
        dst: folder to make, with training.h5 and, where these splits are, validation.h5 and
            testing.h5: image (N, S, S, 3) and mask (N, S, S); and statistics.json.
        src: folder with images/ and masks/ as LandCover.ai is distributed, or one folder of
            pictures with masks NAME_m.png beside them.
        images: folder of orthophotos: GeoTIFF, PNG or JPEG of red, green, blue; instead of src.
        masks: folder of their masks of the same names: GeoTIFF or PNG of class numbers.
        split_lists: folder with train.txt, val.txt and test.txt, one name a line: NAME_7 is tile 7
            of an orthophoto, NAME all of its tiles. Without it, those of src if it has any; else
            the shares decide.
        partial: whether lists may name tiles that there are no images of; these are left out.
        validation_share: share of the orthophotos for validation; 0 makes no such file.
        test_share: share of the orthophotos for testing; 0 makes no such file.
        split_seed: decides which orthophotos these are; no other seed does.
        classes: names of the numbers 0, 1, … in the masks.
        ignore: value in the masks that stands for no class; None for none.
        tile: pixels per side S of a tile.
        edges: what becomes of tiles that reach beyond an orthophoto: leave (out, as published) or
            pad (with black pixels that are ignored).
        shard: "i/n" does the i-th of n equal runs of rows of each split; merge joins the files of
            a split.
    """
    from shared.tiles import rasters
    from stages.landcover import pairs, splits

    check_names(classes, "--classes")
    if ignore is not None and ignore < len(classes):
        expected = f"expected a value that is no class, {len(classes)} to 255"
        raise StageError(f"--ignore: {expected}, found {ignore}")
    folders = pairs.find_folders(src, images, masks)
    with rasters.environment():
        known = pairs.list_pairs(*folders)
        cut = pairs.cut(known, tile, pad=edges == "pad")
        place = split_lists or src
        lists = splits.read_lists(place) if place else {}
        if split_lists and not lists:
            raise StageError(f"--split_lists: {split_lists}: expected train.txt, found none")
        if lists:
            parts = splits.by_lists(known, cut, lists, partial=partial)
        else:
            parts = splits.by_shares(known, cut, (validation_share, test_share), split_seed)
        dst.mkdir(exist_ok=True)
        for split, rows in parts.items():
            write(dst / f"{split}.h5", known, rows, tile, classes, ignore=ignore, shard=shard)
    if shard == "1/1":
        summarise(dst, list(parts))


if __name__ == "__main__":
    cli.main(run)
