"""The networks of a model folder on the windows of a block: the mean of their probabilities."""

import functools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from shared import models
from shared.errors import StageError
from shared.models import Card, scores
from stages.map import windows

Pixels = NDArray[np.float32]
COLUMNS = 64  # windows of a row whose pixels are in memory at once
CHUNK = 8  # windows that a thread copies at once


@dataclass(frozen=True)
class Member:
    """One network.

    Attributes:
        card: what it takes.
        session: runs it, on one thread.
        bands: place of each of its bands in the scene.
    """

    card: Card
    session: onnxruntime.InferenceSession
    bands: list[int]

    def cut(self, values: Pixels, window: int, step: int) -> Pixels:
        """(R, S, window, window, C) views of the windows of (H, W, C) values 0 … 255.

        What works pixel by pixel is done here, once a block, where windows are not enlarged.
        """
        if self.card.size == window:
            values = np.moveaxis(models.standardise(np.moveaxis(values, -1, 0), self.card), 0, -1)
        return windows.cut(values, window, step)

    def logits(self, views: Pixels, places: NDArray[np.intp]) -> Pixels:
        """(n, K) of the windows at (n, 2) rows and columns of what `cut` gives.

        All are copied at once, and run one by one: a call of another shape may round differently.
        """
        cuts = views[places[:, 0], places[:, 1]]
        if self.card.size == cuts.shape[1]:
            images = np.ascontiguousarray(np.moveaxis(cuts, -1, 1))
        else:
            images = models.preprocess(cuts, self.card)
        entry = self.session.get_inputs()[0].name
        said = [self.session.run(None, {entry: images[i : i + 1]})[0] for i in range(len(images))]
        return np.concatenate(said).reshape(len(images), -1)


class Ensemble:
    """All networks of a folder; a context manager that ends its threads.

    Args:
        members: one or more, of the same classes.
        threads: windows at once, 0 for all cores.
    """

    def __init__(self, members: Sequence[Member], threads: int) -> None:
        self.members = members
        self.classes = members[0].card.classes
        self.pool = ThreadPoolExecutor(threads or len(os.sched_getaffinity(0)))

    def score(self, cuts: Sequence[Pixels], wanted: NDArray[np.bool_]) -> Pixels:
        """(R, S, K) mean probabilities of windows; 0 where none is wanted.

        Args:
            cuts: of each member, as `Member.cut` gives them.
            wanted: (R, S) which windows are classified.

        Raises:
            StageError: a network says what is not finite.
        """
        places = np.argwhere(wanted)
        means = np.zeros((*wanted.shape, len(self.classes)), np.float32)
        if not len(places):
            return means
        parts = [places[first : first + CHUNK] for first in range(0, len(places), CHUNK)]
        sums = np.zeros((len(places), len(self.classes)))
        for member, views in zip(self.members, cuts, strict=True):
            work = functools.partial(member.logits, views)
            logits = np.concatenate(list(self.pool.map(work, parts)))
            if not np.isfinite(logits).all():
                raise StageError(f"{member.card.file}: says NaN or infinite values of a window")
            sums += scores.softmax(logits)
        means[wanted] = sums / len(self.members)
        return means

    def __enter__(self) -> "Ensemble":
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(cancel_futures=True)
