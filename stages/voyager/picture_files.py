"""Which patches go into the bundle, and how a patch becomes an 8-bit RGB picture."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared import models
from shared.errors import StageError
from shared.models import Card
from shared.patches import Source
from shared.progress import bar, say
from shared.unfinished import work
from shared.voyager import calibration
from stages.voyager import sdk_names

LEAST, MOST = 200, 2000  # what deploy.py asks for by default, and the most it takes


def read_tile(source: Source, card: Card, row: int) -> NDArray[np.uint8]:
    """(H, W, 3) one row in whole levels of the card's range."""
    values = models.read_scaled(source, card.bands, slice(row, row + 1))[0]
    return eight_bit(models.to_range(values, card))


def eight_bit(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Values scaled to 0 … 255, any shape, clipped and rounded to whole numbers."""
    return models.round_to_levels(values).astype(np.uint8)


def is_constant(tile: NDArray[np.uint8]) -> bool:
    """Whether every channel of a (H, W, C) tile holds one value only."""
    return bool((tile == tile[:1, :1]).all())


def shuffle_rows(labels: NDArray[np.integer], classes: int, seed: int) -> list[list[int]]:
    """Row numbers of each class in random order, which does not depend on the other classes."""
    return [
        np.random.default_rng((seed, k)).permutation(np.flatnonzero(labels == k)).tolist()
        for k in range(classes)
    ]


def collect_calibration(
    source: Source, card: Card, queues: list[list[int]], wanted: int
) -> tuple[dict[int, NDArray[np.uint8]], dict[str, int]]:
    """Different, not constant tiles, taken from the classes in turn.

    deploy.py stops when its first two batches are equal, and constant tiles teach no range.

    Args:
        source: open patch file.
        card: three bands, for R, G, B, and their range.
        queues: row numbers of each class, in the order they are tried.
        wanted: number of tiles.

    Returns:
        (H, W, 3) tiles by row number, in the order in which they were taken, so that any first so
        many hold each class as often as any other, as long as it has rows; fewer than wanted when
        the rows run out; counts of the rows passed over, under "duplicate" and "constant".
    """
    tiles: dict[int, NDArray[np.uint8]] = {}
    seen: set[bytes] = set()
    passed = {"duplicate": 0, "constant": 0}
    waiting = [list(queue) for queue in queues]
    while len(tiles) < wanted and any(waiting):
        for queue in waiting:
            taken = False
            while len(tiles) < wanted and queue and not taken:
                row = queue.pop(0)
                tile = read_tile(source, card, row)
                taken = not is_constant(tile) and tile.tobytes() not in seen
                if taken:
                    seen.add(tile.tobytes())
                    tiles[row] = tile
                else:
                    passed["constant" if is_constant(tile) else "duplicate"] += 1
    return tiles, passed


def save_picture(path: Path, tile: NDArray[np.uint8]) -> None:
    """Write a (H, W, 3) tile as 8-bit RGB PNG, without metadata."""
    Image.fromarray(tile).save(path, "PNG", compress_level=6)


def write_calibration(folder: Path, source: Source, card: Card, wanted: int, seed: int) -> int:
    """Write so many calibration pictures flat into a new folder; how many it were.

    Their names are in the order in which the classes took turns, and tell class and row.

    Raises:
        StageError: fewer than the SDK asks for.
    """
    labels = source.labels()
    queues = shuffle_rows(labels, len(card.classes), seed)
    tiles, passed = collect_calibration(source, card, queues, wanted)
    if len(tiles) < LEAST:
        raise StageError(
            f"{source.path}: {len(tiles)} usable calibration pictures of {source.total} rows "
            f"({passed['duplicate']} duplicates, {passed['constant']} constant), expected "
            f"{LEAST} or more: the SDK's deploy.py stops when there are fewer"
        )
    if len(tiles) < wanted:
        say(f"{source.path}: {len(tiles)} calibration pictures, {wanted} were asked for")
    folder.mkdir()
    for place, (row, tile) in enumerate(tiles.items()):
        save_picture(folder / calibration.name_picture(place, int(labels[row]), row), tile)
    return len(tiles)


def write_validation(
    folder: Path, source: Source, card: Card, per_class: int, seed: int
) -> dict[str, int]:
    """Write test pictures, named by row, into class folders; counts of them and of constant ones.

    Nothing is left out here, so that the accuracy is that of the test split.

    Raises:
        StageError: a class without a row.
    """
    queues = [
        q[: per_class or None] for q in shuffle_rows(source.labels(), len(card.classes), seed)
    ]
    if empty := [name for name, queue in zip(card.classes, queues, strict=True) if not queue]:
        raise StageError(
            f"{source.path}: no row of class {empty[0]}: the SDK numbers classes by folder, so one "
            "without pictures would shift all later ones"
        )
    total, flat = sum(map(len, queues)), 0
    with bar(total, "test pictures") as progress:
        for place, queue in zip(sdk_names.folder_names(card.classes), queues, strict=True):
            work.make_folder(folder / place)
            for row in sorted(queue):
                tile = read_tile(source, card, row)
                flat += is_constant(tile)
                save_picture(folder / place / f"{row:06d}.png", tile)
                progress.update()
    return {"test_pictures": total, "constant_test_pictures": flat}
