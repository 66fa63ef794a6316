"""The segmentation networks of a model folder on tiles: the mean of their probabilities."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from shared import models, onnx_graphs
from shared.errors import StageError
from shared.models import Card
from stages.map import opening

Floats = NDArray[np.float32]
Tile = tuple[NDArray[np.uint8], NDArray[np.bool_]]  # (H, W, 3) pixels, (H, W) which are hidden
COLOURS = 3  # channels of an orthophoto


@dataclass(frozen=True)
class Member:
    """One network.

    Attributes:
        card: what it takes.
        session: runs it, on one thread.
        fixed: pixels per side of the tiles that it takes alone, one a call; None for any.
    """

    card: Card
    session: onnxruntime.InferenceSession
    fixed: int | None

    def probabilities(self, tiles: NDArray[np.uint8], hidden: NDArray[np.bool_]) -> Floats:
        """(n, H, W, K) of (n, H, W, 3) tiles; pixels that are hidden have the mean of training."""
        images = models.standardise(np.moveaxis(tiles, -1, 1).astype(np.float32), self.card)
        images[np.broadcast_to(hidden[:, None], images.shape)] = 0
        logits = self._run_fixed(images) if self.fixed else self._run(images)
        if not np.isfinite(logits).all():
            raise StageError(f"{self.card.file}: says NaN or infinite values of a tile")
        return softmax(np.moveaxis(logits, 1, -1))

    def _run(self, images: Floats) -> Floats:
        entry = self.session.get_inputs()[0].name
        try:
            logits: Floats = self.session.run(None, {entry: images})[0]
        except Exception as error:
            reason = onnx_graphs.first_line(error)
            raise StageError(f"{self.card.file}: does not run on pictures ({reason})") from None
        expected = (len(images), len(self.card.classes), *images.shape[2:])
        if logits.shape != expected:
            raise StageError(
                f"{self.card.file}: expected logits {expected} of pictures {images.shape}, found "
                f"{logits.shape}"
            )
        return logits

    def _run_fixed(self, images: Floats) -> Floats:
        """One by one; what is smaller than the network's size is continued by its edge."""
        assert self.fixed
        height, width = images.shape[2:]
        below, right = self.fixed - height, self.fixed - width
        larger = np.pad(images, ((0, 0), (0, 0), (0, below), (0, right)), mode="edge")
        said = [self._run(larger[n : n + 1])[..., :height, :width] for n in range(len(larger))]
        return np.concatenate(said)


class Ensemble:
    """All networks of a folder; a context manager that ends its threads.

    Args:
        members: one or more, of the same classes.
        batch: tiles of one call.
        threads: calls beside each other, 0 for one a core; changes time, not results.
    """

    def __init__(self, members: Sequence[Member], batch: int, threads: int) -> None:
        self.members, self.batch = members, batch
        self.card = members[0].card
        self.threads = threads or len(os.sched_getaffinity(0))
        self.pool = ThreadPoolExecutor(self.threads)

    @property
    def fixed(self) -> int | None:
        """Pixels per side of the tiles, where a network takes only such."""
        return next((member.fixed for member in self.members if member.fixed), None)

    def score(self, tiles: Iterable[Tile]) -> Iterator[Floats]:
        """(H, W, K) mean probabilities of each tile, in order.

        Args:
            tiles: of which neighbours of one shape go into one call, `batch` at most, counted from
                the first tile: calls are the same however many threads there are.
        """
        waiting: list[list[Tile]] = []
        for tile in tiles:
            last = waiting[-1] if waiting else []
            if last and len(last) < self.batch and last[0][0].shape == tile[0].shape:
                last.append(tile)
                continue
            if len(waiting) == self.threads:
                yield from self._run(waiting)
                waiting = []
            waiting.append([tile])
        yield from self._run(waiting)

    def _run(self, calls: list[list[Tile]]) -> Iterator[Floats]:
        for batch in self.pool.map(self._mean, calls):
            yield from batch

    def _mean(self, batch: list[Tile]) -> Floats:
        tiles, hidden = (np.stack(parts) for parts in zip(*batch, strict=True))
        total = self.members[0].probabilities(tiles, hidden)
        for member in self.members[1:]:
            total += member.probabilities(tiles, hidden)
        return total / np.float32(len(self.members))

    def __enter__(self) -> "Ensemble":
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(cancel_futures=True)


def softmax(logits: Floats) -> Floats:
    """(…, K) logits to probabilities, in single precision: there is one row a pixel."""
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    return shares


def open_models(folder: Path, precision: str, batch: int, threads: int) -> Ensemble:
    """The networks of a product of segment, or of its export.

    Args:
        folder: with model.json.
        precision: "fp32", or "int8" for the quantised network of an export.
        batch: tiles of one call.
        threads: calls beside each other, 0 for one a core.

    Raises:
        StageError: no such folder; networks for another task, of other bands than three, or of
            different classes; not a usable ONNX file.
    """
    cards = models.load(folder, "segmentation")
    if precision == "int8":
        cards = [replace(cards[0], file=opening.name_int8(folder, cards))]
    members = [_open(folder, card, cards[0]) for card in cards]
    if len(sizes := {member.fixed for member in members if member.fixed}) > 1:
        found = " and ".join(f"{side} x {side}" for side in sorted(sizes))
        raise StageError(f"{folder}: expected networks that take tiles of one size, found {found}")
    return Ensemble(members, batch, threads)


def _open(folder: Path, card: Card, first: Card) -> Member:
    if len(card.bands) != COLOURS or card.features:
        found = ", ".join(card.bands) + (" and tda features" if card.features else "")
        raise StageError(f"{folder}: expected networks of red, green and blue, found {found}")
    opening.check_classes(folder, card, first)
    path = folder / card.file
    model = onnx_graphs.load(path)
    expected = (None, COLOURS, None, None), (None, len(card.classes), None, None)
    graph = model.graph
    if len(graph.input) != 1 or len(graph.output) != 1:
        found = f"{len(graph.input)} and {len(graph.output)}"
        raise StageError(f"{path}: expected one input and one output, found {found}")
    shapes = [_shape(value) for value in (graph.input[0], graph.output[0])]
    if not all(_fits(*pair) for pair in zip(shapes, expected, strict=True)):
        wanted = f"(N, {COLOURS}, H, W) to (N, {len(card.classes)}, H, W)"
        raise StageError(f"{path}: expected {wanted}, found {shapes[0]} to {shapes[1]}")
    height, width = shapes[0][2:]
    if height != width:
        raise StageError(f"{path}: expected pictures of any size or square ones, found {shapes[0]}")
    return Member(card, opening.make_session(model.SerializeToString(), path), height)


def _shape(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    """Sizes of an input or output; None for one that is free."""
    return tuple(dim.dim_value or None for dim in value.type.tensor_type.shape.dim)


def _fits(shape: tuple[int | None, ...], expected: tuple[int | None, ...]) -> bool:
    pairs = zip(shape, expected, strict=False)
    return len(shape) == len(expected) and all(b in (None, a) or a is None for a, b in pairs)
