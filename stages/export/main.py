"""The student in the form that is deployed, in FP32 and INT8, with what each step costs."""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared import cli, model, patches, scores
from shared.errors import StageError
from shared.model import Card
from shared.progress import say
from shared.source import Source

FP32, INT8 = "model.onnx", "model_int8.onnx"


def run(
    *,
    src: Path,
    train: Path,
    test: Path,
    dst: Path,
    calibration_per_class: int = 30,
    seed: int = 42,
    batch: int = 64,
    threads: int = 0,
    tolerance: float = 1e-3,
    latency_runs: int = 100,
) -> None:
    """Export a trained network to static FP32 and INT8 ONNX and compare the two.

    Args:
        src: model folder with one network, test_logits.npy and test_labels.npy (from distill).
        train: patch file whose rows calibrate INT8.
        test: patch file the network was tested on, same rows in the same order.
        dst: folder to write: both ONNX files, model.json, report.json, scores, latency.json.
        calibration_per_class: rows of each class for calibration, 1 or more.
        seed: of the choice of calibration rows, 0 or more.
        batch: rows prepared at once, 1 or more; changes memory, not results.
        threads: rows evaluated at once, 0 for one per processor; changes time, not results.
        tolerance: largest difference from the trainer's logits that is let pass, 0 or more.
        latency_runs: timed runs of each network, 1 or more.
    """
    _at_least(
        1, calibration_per_class=calibration_per_class, batch=batch, latency_runs=latency_runs
    )
    _at_least(0, threads=threads, tolerance=tolerance, seed=seed)
    card, files = _card(src), {"fp32": dst / FP32, "int8": dst / INT8}
    with patches.read(train, "label") as known, patches.read(test, "label") as source:
        labels = _labels(known, source, card, src)
        from stages.export import compare, graph, infer, quantise

        dst.mkdir(exist_ok=True)
        once(files["fp32"], lambda path: _fit(src / card.file, card, path))
        rows = quantise.choose(known.labels(), calibration_per_class, seed)
        feed = quantise.Calibration(known, card, rows)
        once(files["int8"], lambda path: quantise.quantise(files["fp32"], path, feed))
        workers = threads or len(os.sched_getaffinity(0))
        logits = {"fp32": _logits(files["fp32"], dst, source, card, batch, workers)}
        apart = compare.parity(logits["fp32"], src / "test_logits.npy", tolerance)
        logits["int8"] = _logits(files["int8"], dst / "int8", source, card, batch, workers)
    report = compare.compare(dst, labels, logits, files, card.classes)
    report["parity"] = {"largest_logit_difference": apart, "tolerance": tolerance}
    report["calibration"] = {"rows": len(rows), "per_class": calibration_per_class, "seed": seed}
    report["graph"] = graph.describe(graph.load(files["fp32"]))
    compare.write(dst, report)
    model.save(dst, [dataclasses.replace(card, file=FP32)], int8=INT8)
    times = {"threads": 1, "runs": latency_runs} | infer.latency(files, latency_runs, seed)
    (dst / "latency.json").write_text(json.dumps(times, indent=1) + "\n")
    compare.tell(report, times)


def once(path: Path, make: Callable[[Path], object]) -> None:
    """Let ``make`` write a file beside ``path`` and rename it, unless an earlier run did."""
    if path.exists():
        say(f"{path.name}: there from the earlier run")
        return
    path.parent.mkdir(exist_ok=True)
    part = path.with_name("unfinished-" + path.name)
    make(part)
    part.rename(path)


def _at_least(least: int, **values: float) -> None:
    for name, value in values.items():
        if value < least:
            raise StageError(f"--{name}: expected {least} or more, found {value}")


def _card(src: Path) -> Card:
    """The one network of a folder."""
    cards = model.load(src)
    if len(cards) != 1 or cards[0].features:
        what = f"{len(cards)} networks, {cards[0].features if cards else 0} tda features"
        raise StageError(f"{src}: expected one network with an image input, found {what}")
    return cards[0]


def _labels(train: Source, test: Source, card: Card, src: Path) -> NDArray[np.intp]:
    """(N,) test labels, after a look whether files and network belong together."""
    for source in (train, test):
        model.locate(source, card.bands)
        if source.classes != card.classes:
            expected = f"the network's {len(card.classes)} classes {card.classes[:3]} …"
            raise StageError(
                f"{source.path}: expected {expected}, found {len(source.classes)}: "
                f"{source.classes[:3]} …"
            )
    labels, trainer = test.labels(), scores.array(src / "test_labels.npy", 1)
    if not np.array_equal(labels, trainer):
        raise StageError(
            f"{test.path}: labels differ from {src / 'test_labels.npy'} "
            f"({len(labels)} and {len(trainer)} rows); give the test file the network was tested on"
        )
    return labels


def _fit(found: Path, card: Card, path: Path) -> None:
    from stages.export import graph

    fitted = graph.fit(graph.load(found), card, found)
    if wrong := graph.violations(fitted):
        raise StageError(f"{found}: cannot be compiled for Metis: {'; '.join(wrong[:3])}")
    path.write_bytes(fitted.SerializeToString(deterministic=True))


def _logits(
    network: Path, folder: Path, source: Source, card: Card, batch: int, workers: int
) -> NDArray[np.float32]:
    """(N, K) of one network over a patch file; kept in ``folder/test_logits.npy``."""
    from stages.export import infer

    def make(path: Path) -> None:
        blocks = infer.prepared(source, card, batch)
        np.save(path, infer.logits(network, blocks, source.total, workers))

    once(folder / "test_logits.npy", make)
    return scores.array(folder / "test_logits.npy", 2)


if __name__ == "__main__":
    cli.main(run)
