"""Which tiles are for training, validation and testing: by published lists, or by shares."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from shared.errors import StageError
from shared.tiles import rasters
from stages.landcover.pairs import Pair, Tile

# Names of the published lists, and of the files that are made of them.
SPLITS = {"train": "training", "val": "validation", "test": "testing"}
NAMED = 5  # names that a message lists


def read_lists(folder: Path) -> dict[Path, list[str]]:
    """The names in train.txt, val.txt and test.txt of a folder, as far as they are there.

    Raises:
        StageError: val.txt or test.txt without train.txt; a list that is no text, is empty or
            names a tile twice.
    """
    files = [folder / f"{split}.txt" for split in SPLITS]
    there = [file for file in files if file.is_file()]
    if there and there[0] != files[0]:
        raise StageError(f"{files[0]}: expected this list beside {there[0].name}, found none")
    return {file: _read(file) for file in there}


def _read(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise StageError(f"{path}: expected text with the name of one tile a line") from None
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise StageError(f"{path}: expected the name of one tile a line, found none")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise StageError(f"{path}: expected each tile once, found {twice} twice")
    return names


def by_lists(
    pairs: list[Pair], tiles: list[Tile], lists: Mapping[Path, list[str]], *, partial: bool
) -> dict[str, list[Tile]]:
    """The tiles of each split, in order of images and numbers.

    Args:
        pairs: orthophotos.
        tiles: of them.
        lists: names by list: NAME_7 is tile 7 of an orthophoto, NAME all of its tiles.
        partial: whether names without a tile are left out.

    Raises:
        StageError: a name without a tile, or with two meanings; a tile in two lists; a split
            without a tile.
    """
    known, taken, parts = _index(pairs, tiles), dict[Tile, Path](), dict[str, list[Tile]]()
    for path, names in lists.items():
        missing = [name for name in names if _strip(name) not in known]
        if missing and (not partial or len(missing) == len(names)):
            shown = ", ".join(missing[:NAMED]) + (", …" if len(missing) > NAMED else "")
            found = f"found {len(missing):,} of {len(names):,} without one: {shown}"
            cure = "" if partial else "; --partial leaves them out"
            raise StageError(f"{path}: expected names of tiles of the images, {found}{cure}")
        part = [tile for name in names for tile in known.get(_strip(name), [])]
        for tile in part:
            if tile in taken:
                name = f"{pairs[tile.pair].name}_{tile.number}"
                where = "twice" if taken[tile] == path else f"in {taken[tile].name}, too"
                raise StageError(f"{path}: expected each tile in one list, found {name} {where}")
            taken[tile] = path
        parts[SPLITS[path.stem]] = sorted(part)
    return parts


def _index(pairs: list[Pair], tiles: list[Tile]) -> dict[str, list[Tile]]:
    """Tiles by their own name and by that of their orthophoto."""
    known: dict[str, list[Tile]] = {pair.name: [] for pair in pairs}
    for tile in tiles:
        known[pairs[tile.pair].name].append(tile)
    for tile in tiles:
        name = f"{pairs[tile.pair].name}_{tile.number}"
        if name in known:
            expected = f"expected names that differ from those of tiles, found {name}"
            raise StageError(f"{pairs[tile.pair].image}: {expected} beside it; rename one")
        known[name] = [tile]
    return {name: found for name, found in known.items() if found}


def _strip(name: str) -> str:
    """A name without the ending of an image."""
    return name.rpartition(".")[0] if name.lower().endswith(tuple(rasters.DRIVERS)) else name


def by_shares(
    pairs: list[Pair], tiles: list[Tile], shares: tuple[float, float], seed: int
) -> dict[str, list[Tile]]:
    """The tiles of each split, whole orthophotos in each: neighbouring tiles are alike.

    Args:
        pairs: orthophotos.
        tiles: of them.
        shares: of the orthophotos for validation and for testing; 0 makes none, any other share at
            least one.
        seed: decides which.

    Raises:
        StageError: nothing would be left for training.
    """
    counts = [max(round(len(pairs) * share), 1) if share else 0 for share in shares]
    if sum(counts) >= len(pairs):
        expected = f"expected more than {sum(counts)} images, or lists (--split_lists)"
        raise StageError(f"--validation_share, --test_share: {expected}, found {len(pairs)}")
    order = np.random.default_rng(seed).permutation(len(pairs)).tolist()
    ends = (counts[0], sum(counts))
    drawn = {"validation": order[: ends[0]], "testing": order[ends[0] : ends[1]]}
    chosen = {"training": order[ends[1] :], **drawn}
    return {
        split: [tile for tile in tiles if tile.pair in set(numbers)]
        for split, numbers in chosen.items()
        if numbers
    }
