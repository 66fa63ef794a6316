"""What `check` does: each gives a text, content for a file, and what is wrong, if anything."""

import csv
import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from shared import models, progress
from shared.errors import StageError
from shared.manifest import MANIFEST, RefusedError, problems
from shared.models import scores
from shared.pictures import ENDINGS, read_picture, tell_skipped, walk_files
from shared.terminal import escape
from shared.voyager import READBACK, Bundle, Network, open_bundle, preprocess
from stages.export.metis_lint import Violation, lint

Outcome = tuple[str, Any, str]
Part = TypeVar("Part")
BATCH = 64
NEAR = 0.05  # points of accuracy that two processors may differ by


def check_bundle(folder: Path, threads: int) -> Outcome:
    """A bundle's own pictures through its network, beside the accuracy that voyager stored.

    Raises:
        StageError: a file is not as the manifest says, or the bundle cannot be read.
    """
    verify(folder)
    opened = open_bundle(folder)
    stored = _stored_accuracy(folder)
    classes, files = _take(opened, lambda b: b.labels), _take(opened, Bundle.pictures)
    if not files:
        raise StageError(f"{opened.validation}: expected test pictures, found none")
    predictions = logits(opened, [path for path, _ in files], threads)
    labels = np.array([k for _, k in files])
    if predictions.shape[1] != len(classes) or labels.max() >= len(classes):
        shown = f"{len(classes)} labels, {labels.max() + 1} class folders"
        raise StageError(
            f"{folder}: expected {predictions.shape[1]} classes as the network, {shown}"
        )
    metrics = scores.metrics(scores.confusion(labels, predictions), classes)
    points = 100 * metrics["overall_accuracy"]
    lines = [f"{'class':24} {'pictures':>8} {'right %':>8}"]
    for name, entry in metrics["per_class"].items():
        lines.append(f"{name:24} {entry['rows']:8} {100 * entry['recall']:8.2f}")
    lines.append(f"{'all':24} {len(labels):8} {points:8.2f}   stored: {stored:.2f}")
    apart = abs(points - stored)
    wrong = f"{folder}: accuracy {points:.2f} %, but {READBACK} says {stored:.2f} %"
    content = {"accuracy": points, "stored": stored, **metrics}
    return "\n".join(lines), content, wrong if apart > NEAR else ""


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


def _stored_accuracy(folder: Path) -> float:
    """Points of accuracy from the pictures, as voyager measured them."""
    try:
        accuracy = json.loads((folder / READBACK).read_text())["accuracy"]["png"]
        return 100 * float(accuracy["overall_accuracy"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StageError(f"{folder / READBACK}: expected stored accuracies ({error})") from None


def _take(bundle: Bundle, part: Callable[[Bundle], Part]) -> Part:
    """A part of a bundle; StageError when the YAML does not say it, or it is not there."""
    try:
        return part(bundle)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise StageError(f"{bundle.folder}: not a bundle ({error})") from None


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
                parts.append(network(np.concatenate(ready)))
                bar.update(len(block))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise StageError(f"{bundle.folder}: not a bundle ({error})") from None
    return np.concatenate(parts)


def _network(path: Path, threads: int) -> Network:
    try:
        return Network(path, threads)
    except Exception as error:  # onnxruntime has a class of its own for every reason
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise StageError(f"{path}: not a usable ONNX file ({reason})") from None


def classify_pictures(folder: Path, images: Path, threads: int) -> Outcome:
    """CSV of the pictures of a folder: file, class, and the score of every class.

    Raises:
        StageError: a file is not as the manifest says, no picture in the folder, or a broken one.
    """
    verify(folder)
    bundle = open_bundle(folder)
    if not images.is_dir():
        raise StageError(f"--images: {images}: expected a folder of pictures, found a file")
    paths, skipped = walk_files(images)
    tell_skipped(images, skipped)
    if not paths:
        kinds = ", ".join(sorted(ENDINGS))
        raise StageError(f"--images: {images}: expected pictures, found none of {kinds}")
    names, text = _take(bundle, lambda b: b.labels), io.StringIO()
    probabilities = scores.softmax(logits(bundle, paths, threads))
    if probabilities.shape[1] != len(names):
        expected = f"expected {probabilities.shape[1]} labels as the network has classes"
        raise StageError(f"{folder}: {expected}, found {len(names)}")
    table = csv.writer(text)
    table.writerow(["file", "class", *names])
    for path, row in zip(paths, probabilities, strict=True):
        where = escape(path.relative_to(images).as_posix())
        table.writerow([where, names[int(row.argmax())], *(f"{score:.6f}" for score in row)])
    counts = np.bincount(probabilities.argmax(1), minlength=len(names)).tolist()
    lines = [f"{name:24} {count:8}" for name, count in zip(names, counts, strict=True)]
    return "\n".join([*lines, f"{'all':24} {len(paths):8}"]), text.getvalue(), ""


def lint_networks(place: Path, metis: str) -> Outcome:
    """The lint of one ONNX file, or of every network of a model folder, as it is."""
    cards = models.load(place) if place.is_dir() else []
    files = [place / card.file for card in cards] or [place]
    violations = {path.name: _lint_file(path, metis) for path in files}
    lines = [f"{name}: {violation}" for name, some in violations.items() for violation in some]
    content = {name: [dataclasses.asdict(v) for v in some] for name, some in violations.items()}
    text = "\n".join(lines) or f"{place}: nothing that Metis {metis} would not compile"
    wrong = f"{place}: Metis {metis} does not compile it: {len(lines)} violations" if lines else ""
    return text, {"metis": metis, "violations": content}, wrong


def _lint_file(path: Path, metis: str) -> list[Violation]:
    try:
        return lint(_bare(path), metis)
    except (KeyError, IndexError, ValueError) as error:
        reason = f"a node lacks an input or an attribute: {error}"
        raise StageError(f"{path}: not a usable ONNX file ({reason})") from None


def _bare(path: Path) -> onnx.ModelProto:
    """The graph of a file, without weights that lie elsewhere."""
    try:
        model = onnx.load(path, "protobuf", load_external_data=False)
        if model.graph.node:
            return model
        reason = "no graph"
    except (DecodeError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    raise StageError(f"{path}: not a usable ONNX file ({reason})")
