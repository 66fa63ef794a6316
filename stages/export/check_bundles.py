"""What `check` reads of a bundle: digests, stored accuracy, entries of the YAML, pictures."""

import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from shared import progress
from shared.errors import StageError
from shared.manifest import MANIFEST, RefusedError, problems, read
from shared.pictures import read_picture
from shared.reading import documents
from shared.voyager import READBACK, Bundle, preprocess
from stages.export.batched_network import BatchedNetwork

Part = TypeVar("Part")
# What entries of a bundle raise that are not what they should be.
UNFIT = (OSError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, MemoryError)
BATCH = 32  # pictures that one thread reads, prepares and classifies in one call


def verify(folder: Path) -> None:
    """Every digest of MANIFEST.json, if the bundle came with one.

    Raises:
        StageError: the first file that is missing, added or changed.
    """
    if not (folder / MANIFEST).is_file():
        return
    try:
        changed = problems(folder)
    except RefusedError as error:
        raise StageError(str(error)) from None
    if changed:
        more = f" ({len(changed)} such files)" if len(changed) > 1 else ""
        hint = "remove it" if changed[0].endswith("not in the manifest") else "copy it again"
        raise StageError(f"{changed[0]}{more}; {hint}")


def releases(folder: Path) -> list[str]:
    """One line that says which releases of the SDK a bundle is for, where its manifest tells."""
    if not (folder / MANIFEST).is_file():
        return []
    said = read(folder)["sdk"]
    if not isinstance(said, dict) or not isinstance(said.get("profiles"), dict):
        return []  # a bundle of another maker, or an older one
    ranges = [f"{entry['least']} to below {entry['below']}" for entry in said["profiles"].values()]
    return [f"for SDK {', '.join(ranges)}"]


def stored_accuracy(folder: Path) -> float:
    """Points of accuracy from the pictures, as voyager measured them."""
    try:
        accuracy = documents.read_json(folder / READBACK)["accuracy"]["png"]
        return 100 * float(accuracy["overall_accuracy"])
    except UNFIT as error:
        reason = explain(error)
        raise StageError(f"{folder / READBACK}: expected stored accuracies ({reason})") from None


def take(bundle: Bundle, part: Callable[[Bundle], Part]) -> Part:
    """A part of a bundle; StageError when the YAML does not say it, or it is not there."""
    try:
        return part(bundle)
    except UNFIT as error:
        raise StageError(f"{bundle.folder}: not a bundle ({explain(error)})") from None


def explain(error: Exception) -> str:
    """What was wrong with a bundle, in words."""
    if isinstance(error, KeyError):
        return f"no entry {error} where one is expected"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())[:200]


def logits(bundle: Bundle, paths: list[Path], threads: int) -> NDArray[np.float32]:
    """(N, K) of pictures of any sizes, by the bundle's YAML and network.

    Each thread reads, prepares and classifies blocks of pictures; which pictures are in one block
    does not depend on how many threads there are, and so no number does.

    Raises:
        StageError: the bundle cannot be read, or a picture.
    """
    try:
        network, steps = BatchedNetwork(bundle.network, BATCH), bundle.steps
        blocks = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
        one = partial(_classify, network=network, steps=steps)
        parts = list(_run_beside(one, blocks, threads))
    except UNFIT as error:
        raise StageError(f"{bundle.folder}: not a bundle ({explain(error)})") from None
    return np.concatenate(parts)


def _run_beside(
    one: Callable[[list[Path]], NDArray[np.float32]], blocks: list[list[Path]], threads: int
) -> Iterator[NDArray[np.float32]]:
    """What becomes of each block, in order; the first that cannot be read stops all."""
    with (
        progress.bar(sum(map(len, blocks)), "classify", unit="pictures") as bar,
        warnings.catch_warnings(),  # the reader sets them, in each thread for all
        ThreadPoolExecutor(threads) as pool,
    ):
        try:
            for block, part in zip(blocks, pool.map(one, blocks), strict=True):
                yield part
                bar.update(len(block))
        finally:
            pool.shutdown(cancel_futures=True)


def _classify(
    paths: list[Path], network: BatchedNetwork, steps: Mapping[str, Mapping[str, Any]]
) -> NDArray[np.float32]:
    """(N, K) of one block; neighbours of one size are prepared together."""
    pictures = [read_picture(path) for path in paths]
    groups = itertools.groupby(pictures, lambda picture: picture.shape)
    ready = [preprocess(np.stack(list(group)), steps) for _, group in groups]
    return network(np.concatenate(ready))
