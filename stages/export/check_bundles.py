"""What `check` reads of a bundle: digests, stored accuracy, entries of the YAML, pictures."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from shared import progress
from shared.errors import StageError
from shared.manifest import MANIFEST, RefusedError, problems, read
from shared.pictures import read_picture
from shared.terminal import join_line
from shared.voyager import READBACK, Bundle, Network, preprocess

Part = TypeVar("Part")
BATCH = 64


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
        accuracy = json.loads((folder / READBACK).read_text())["accuracy"]["png"]
        return 100 * float(accuracy["overall_accuracy"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = explain(error)
        raise StageError(f"{folder / READBACK}: expected stored accuracies ({reason})") from None


def take(bundle: Bundle, part: Callable[[Bundle], Part]) -> Part:
    """A part of a bundle; StageError when the YAML does not say it, or it is not there."""
    try:
        return part(bundle)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise StageError(f"{bundle.folder}: not a bundle ({explain(error)})") from None


def explain(error: Exception) -> str:
    """What was wrong with a bundle, in words."""
    if isinstance(error, KeyError):
        return f"no entry {error} where one is expected"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def logits(bundle: Bundle, paths: list[Path], threads: int) -> NDArray[np.float32]:
    """(N, K) of pictures of any sizes, by the bundle's YAML and network.

    Raises:
        StageError: the bundle cannot be read, or a picture.
    """
    parts = []
    try:
        network, steps = _network(bundle.network, threads), bundle.steps
        with progress.bar(len(paths), "classify", unit="pictures") as bar:
            for start in range(0, len(paths), BATCH):
                block = paths[start : start + BATCH]
                ready = [preprocess(read_picture(path)[None], steps) for path in block]
                parts.append(_run(network, np.concatenate(ready), bundle.network))
                bar.update(len(block))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise StageError(f"{bundle.folder}: not a bundle ({explain(error)})") from None
    return np.concatenate(parts)


def _run(network: Network, images: NDArray[np.float32], path: Path) -> NDArray[np.float32]:
    """(N, K) of (N, 3, size, size); StageError when the network wants another input."""
    try:
        return network(images)
    except Exception as error:  # as below
        reason = f"{images.shape[2]} x {images.shape[3]} pixels ({join_line(str(error))[:200]})"
        raise StageError(f"{path}: does not take what the YAML prepares, {reason}") from None


def _network(path: Path, threads: int) -> Network:
    try:
        return Network(path, threads)
    except Exception as error:  # onnxruntime has a class of its own for every reason
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise StageError(f"{path}: not a usable ONNX file ({reason})") from None
