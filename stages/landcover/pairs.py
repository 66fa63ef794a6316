"""Which orthophoto has which mask, and the tiles that it is cut into."""

from dataclasses import dataclass
from pathlib import Path

from shared.clutter import without_clutter
from shared.errors import StageError
from shared.tiles import rasters

MARK = "_m"  # behind the name of a mask that lies beside its picture, as split.py writes it


@dataclass(frozen=True)
class Pair:
    """An orthophoto and its mask.

    Attributes:
        name: of both, without an ending.
        image, mask: the files.
        shape: rows and columns.
    """

    name: str
    image: Path
    mask: Path
    shape: tuple[int, int]


@dataclass(frozen=True, order=True)
class Tile:
    """A square of an orthophoto.

    Attributes:
        pair: number of the pair, in order of names.
        number: of the tile, counted along rows of the whole grid as LandCover.ai counts.
        top, left: its first pixel.
    """

    pair: int
    number: int
    top: int
    left: int


def find_folders(src: Path | None, images: Path | None, masks: Path | None) -> tuple[Path, Path]:
    """The folders of images and of masks, which may be one.

    Raises:
        StageError: neither --src nor both others were given, or both; src is no such folder.
    """
    if (src is None) == (images is None and masks is None) or (images is None) != (masks is None):
        given = [f"--{n}" for n, v in (("src", src), ("images", images), ("masks", masks)) if v]
        expected = "expected a folder with images and masks, or --images together with --masks"
        raise StageError(f"--src: {expected}, found {' and '.join(given) or 'none of them'}")
    if images is not None and masks is not None:
        folders = images, masks
    elif src is not None and (src / "images").is_dir():
        folders = src / "images", src / "masks"
    else:
        folders = src or Path(), src or Path()
    for folder in folders:
        if not folder.is_dir():
            raise StageError(f"{folder}: expected a folder, found none of this name")
    return folders


def list_pairs(images: Path, masks: Path) -> list[Pair]:
    """All pairs in order of their names; headers are read, pixels are not.

    A mask has the name of its image, or that and `_m`; its ending may be another one.

    Raises:
        StageError: no image; an image without a mask or with several; two images of one name; what
            `rasters.check_image` and `check_mask` refuse.
    """
    known = _by_name(masks, rasters.LOSSLESS)
    pairs = []
    for name, files in sorted(_by_name(images, set(rasters.DRIVERS)).items()):
        if images == masks and name.endswith(MARK):
            continue
        if len(files) > 1:
            raise StageError(f"{images}: expected one image {name}, found {_join(files)}")
        found = known.get(name + MARK, []) or (known.get(name, []) if images != masks else [])
        if len(found) != 1:
            expected = f"expected {name}.tif or {name}.png, the mask of {files[0].name}"
            raise StageError(f"{masks}: {expected}, found {_join(found) or 'none'}")
        shape = rasters.check_image(files[0])
        rasters.check_mask(found[0], shape, files[0])
        pairs.append(Pair(name, files[0], found[0], shape))
    if not pairs:
        endings = ", ".join(rasters.DRIVERS)
        raise StageError(f"{images}: expected orthophotos ({endings}), found none")
    return pairs


def _by_name(folder: Path, endings: set[str]) -> dict[str, list[Path]]:
    """Files by name without ending."""
    files: dict[str, list[Path]] = {}
    for path in without_clutter(folder.iterdir()):
        if path.suffix.lower() in endings and path.is_file():
            files.setdefault(path.stem, []).append(path)
    return files


def _join(files: list[Path]) -> str:
    return " and ".join(file.name for file in files)


def cut(pairs: list[Pair], side: int, *, pad: bool) -> list[Tile]:
    """The tiles of all pairs, in order of pairs and numbers.

    Args:
        pairs: from `list_pairs`.
        side: pixels of a tile.
        pad: whether tiles that reach beyond the edge are kept; their numbers are counted anyway.
    """
    tiles = []
    for number, pair in enumerate(pairs):
        high, wide = pair.shape
        places = [(top, left) for top in range(0, high, side) for left in range(0, wide, side)]
        tiles += [
            Tile(number, k, top, left)
            for k, (top, left) in enumerate(places)
            if pad or (top + side <= high and left + side <= wide)
        ]
    return tiles
