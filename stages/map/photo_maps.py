"""Maps of orthophotos: scores of all pixels first, which can go on, then what is drawn of them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from shared import patches
from shared.errors import StageError
from stages.map import drawing as drawn
from stages.map import mosaic, orthophotos, product, segmenters
from stages.map.orthophotos import Orthophoto
from stages.map.settings import PIXELS, Drawing, Network, Tiles


@dataclass(frozen=True)
class Work:
    """What is to be done with each orthophoto.

    Attributes:
        src: an orthophoto, or a folder of some.
        model: model folder; None where scores are given.
        scores: of an earlier map, or joined shards: a file, or a folder for a folder.
        tiles: in which the network sees them.
        network: how it is run.
        drawing: what is made of the scores.
        shard: "i/n" of the rows of each one.
    """

    src: Path
    model: Path | None
    scores: Path | None
    tiles: Tiles
    network: Network
    drawing: Drawing
    shard: str

    @property
    def whole(self) -> bool:
        """Whether maps are drawn; of a part there are only scores."""
        return self.shard == "1/1"

    def place(self, dst: Path, name: str) -> Path:
        """Folder of a map, or file of the scores of a part."""
        if not name:
            return dst
        return dst / (name if self.whole else f"{name}.h5")

    def given_scores(self, name: str) -> Path:
        """The file of scores for one orthophoto.

        Raises:
            StageError: none for it.
        """
        assert self.scores
        if not name:
            return self.scores
        for path in (self.scores / f"{name}.h5", self.scores / name / product.SCORES):
            if path.is_file():
                return path
        expected = f"expected {name}.h5 or {name}/{product.SCORES}"
        raise StageError(f"--scores: {self.scores}: {expected}, found neither")


def make(dst: Path, work: Work) -> None:
    """Write the map of an orthophoto, or a folder with one map for each orthophoto of a folder.

    Raises:
        StageError: what cannot be read or used, before anything is computed.
    """
    photos = orthophotos.find(work.src)
    for name, path in photos.items():
        with _open(work, path) as photo:
            product.check_place(photo)
            if work.scores:
                _check_scores(work.given_scores(name), photo)
    with ExitStack() as stack:
        ensemble = stack.enter_context(_open_models(work)) if work.model else None
        for name, path in photos.items():
            place = work.place(dst, name)
            if (place / drawn.ITEM).is_file():
                continue  # an earlier run finished it
            place.parent.mkdir(exist_ok=True)
            with _open(work, path) as photo:
                _make_one(place, name, photo, work, ensemble)


def _open_models(work: Work) -> segmenters.Ensemble:
    assert work.model
    return segmenters.open_models(
        work.model, work.network.precision, work.tiles.batch, work.network.threads
    )


@contextmanager
def _open(work: Work, path: Path) -> Iterator[Orthophoto]:
    with orthophotos.open_orthophoto(path, orthophotos.find_mask(work.src, path)) as photo:
        yield photo


def _check_scores(path: Path, photo: Orthophoto) -> None:
    with patches.read(path, mosaic.NAME) as source:
        mosaic.check_scores(source, photo)


def _make_one(
    place: Path, name: str, photo: Orthophoto, work: Work, ensemble: segmenters.Ensemble | None
) -> None:
    if ensemble:
        target = product.place_scores(place, work.shard)
        mosaic.compute(target, photo, ensemble, work.tiles, work.shard)
    else:
        product.put_scores(work.given_scores(name), place)
    if work.whole:
        drawn.draw(photo, place, PIXELS, work.drawing)
