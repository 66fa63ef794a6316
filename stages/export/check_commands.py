"""What `check` does: each gives a text, content for a file, and what is wrong, if anything."""

import csv
import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from shared import models
from shared.errors import StageError
from shared.models import scores
from shared.pictures import ENDINGS, tell_skipped, walk_files
from shared.terminal import escape
from shared.voyager import READBACK, Bundle, calibration, open_bundle
from stages.export import metis_report
from stages.export.check_bundles import logits, releases, stored_accuracy, take, verify
from stages.export.metis_lint import Judgement, judge

Outcome = tuple[str, Any, str]
NEAR = 0.05  # points of accuracy that two processors may differ by


def check_bundle(folder: Path, threads: int) -> Outcome:
    """A bundle's own pictures through its network, beside the accuracy that voyager stored.

    Raises:
        StageError: a file is not as the manifest says, or the bundle cannot be read.
    """
    verify(folder)
    opened = open_bundle(folder)
    stored = stored_accuracy(folder)
    classes, files = take(opened, lambda b: b.labels), take(opened, Bundle.pictures)
    if not files:
        raise StageError(f"{opened.validation}: expected test pictures, found none")
    if (count := len(opened.class_folders())) != len(classes):
        expected = f"expected a class folder for each of {len(classes)} labels"
        raise StageError(f"{opened.validation}: {expected}, found {count}")
    began = time.perf_counter()
    predictions = logits(opened, [path for path, _ in files], threads)
    speed = describe_speed(len(files), time.perf_counter() - began, threads)
    labels = np.array([k for _, k in files])
    if predictions.shape[1] != len(classes) or labels.max() >= len(classes):
        shown = f"{len(classes)} labels, {labels.max() + 1} class folders"
        raise StageError(
            f"{folder}: expected {predictions.shape[1]} classes as the network, {shown}"
        )
    metrics = scores.metrics(scores.confusion(labels, predictions), classes)
    points = 100 * metrics["overall_accuracy"]
    lines = [speed, *releases(folder), *_calibration(opened, len(classes))]
    lines.append(f"{'class':24} {'pictures':>8} {'right %':>8}")
    for name, entry in metrics["per_class"].items():
        lines.append(f"{name:24} {entry['rows']:8} {100 * entry['recall']:8.2f}")
    lines.append(f"{'all':24} {len(labels):8} {points:8.2f}   stored: {stored:.2f}")
    apart = abs(points - stored)
    wrong = f"{folder}: accuracy {points:.2f} %, but {READBACK} says {stored:.2f} %"
    content = {"accuracy": points, "stored": stored, **metrics}
    return "\n".join(lines), content, wrong if apart > NEAR else ""


def _calibration(bundle: Bundle, classes: int) -> list[str]:
    """What the SDK will see with usual numbers, if it reads by name, where the names tell."""
    try:
        seen = calibration.describe_prefixes(calibration.list_pictures(bundle.calibration), classes)
    except (OSError, KeyError, TypeError, ValueError):  # a bundle of another maker, or an older one
        return []
    return ["calibration, the first --num-cal-images by name:", *(f"  {line}" for line in seen)]


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
    names, text = take(bundle, lambda b: b.labels), io.StringIO()
    began = time.perf_counter()
    probabilities = scores.softmax(logits(bundle, paths, threads))
    speed = describe_speed(len(paths), time.perf_counter() - began, threads)
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
    return "\n".join([speed, *lines, f"{'all':24} {len(paths):8}"]), text.getvalue(), ""


def describe_speed(rows: int, seconds: float, threads: int) -> str:
    """One line: pictures read, prepared and classified a second, the network opened once."""
    speed = rows / max(seconds, 1e-9)
    on = "1 thread" if threads == 1 else f"{threads} threads"
    return f"{rows} pictures in {seconds:.2f} s on {on}: {speed:.0f} rows per second"


def lint_networks(place: Path, metis: str) -> Outcome:
    """The lint of one ONNX file, or of every network of a model folder, as it is."""
    cards = models.load(place, None) if place.is_dir() else []
    files = [place / card.file for card in cards] or [place]
    judged = {path.name: _judge_file(path, metis) for path in files}
    lines = []
    for name, one in judged.items():
        lines += [f"{name}: {metis_report.describe_violation(v)}" for v in one.violations]
        lines.append(f"{name}: {one.input}")
        lines.append(f"{name}: Metis {metis} {metis_report.describe(one)}")
    refusals = sum(len(one.refusals()) for one in judged.values())
    wrong = f"{place}: Metis {metis} does not compile it: {refusals} violations" if refusals else ""
    if not wrong:
        lines.append(f"{place}: nothing that Metis {metis} would not compile")
    content = {name: metis_report.as_json(one) for name, one in judged.items()}
    return "\n".join(lines), {"metis": metis, "networks": content}, wrong


def _judge_file(path: Path, metis: str) -> Judgement:
    try:
        return judge(_bare(path), metis)
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
