"""The student in the form that is deployed, in FP32 and INT8, with what each step costs."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared import cli, models, patches
from shared.errors import StageError
from shared.models import Card, scores
from shared.patches import Source

FP32, INT8 = "model.onnx", "model_int8.onnx"
METHODS = ("percentile", "entropy", "minmax")


def run(
    *,
    src: Path,
    train: Path,
    test: Path,
    dst: Path,
    metis: str = "1.2",
    strict: bool = True,
    calibration_per_class: int = 30,
    calibration_method: tuple[str, ...] = METHODS,
    seed: int = 42,
    batch: int = 64,
    threads: int = 0,
    tolerance: float = 1e-3,
    latency_runs: int = 100,
) -> None:
    """Export a trained network to static FP32 and INT8 ONNX and compare them.

    Args:
        src: model folder with one network, test_logits.npy and test_labels.npy (from distill).
        train: patch file whose rows calibrate INT8.
        test: patch file the network was tested on, same rows in the same order.
        dst: folder to write: the ONNX files, model.json, report.json, scores, latency.json.
        metis: version of the SDK whose operators the network must keep to, 1.2 or 1.6.
        strict: refuse a network that does not; --nostrict only says so.
        calibration_per_class: rows of each class for calibration, 1 or more.
        calibration_method: percentile, entropy, minmax: how ranges are chosen; the first is the
            INT8 network of the product, the others are compared with it.
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
    methods, workers = _methods(dst, calibration_method), threads or len(os.sched_getaffinity(0))
    files = {"fp32": dst / FP32} | _named(methods)
    card, logits = _card(src), {}
    with patches.read(train, "label") as known, patches.read(test, "label") as source:
        labels = _labels(known, source, card, src)
        from stages.export import (
            calibration,
            comparison,
            inference,
            metis_lint,
            product_files,
            report_tables,
            static_graph,
        )

        dst.mkdir(exist_ok=True)
        product_files.write_fp32(files["fp32"], src / card.file, card, metis, strict)
        rows = calibration.choose_rows(known.labels(), calibration_per_class, seed)
        product_files.write_int8(methods, files["fp32"], known, card, rows, workers)
        for name, path in files.items():
            place = dst if name == "fp32" else dst / name
            logits[name] = product_files.write_logits(path, place, source, card, batch, workers)
            if name == "fp32":
                far = comparison.check_parity(logits[name], src / "test_logits.npy", tolerance)
    report = comparison.compare_networks(dst, labels, logits, files, card.classes)
    report["parity"] = {"largest_logit_difference": far, "tolerance": tolerance}
    report["calibration"] = {
        "rows": len(rows), "per_class": calibration_per_class, "seed": seed,
        "method": calibration_method[0],
    }  # fmt: skip
    fitted = static_graph.load(files["fp32"])
    report["graph"], report["metis"] = (
        static_graph.describe(fitted),
        metis_lint.write_lint(dst, fitted, metis),
    )
    report_tables.write_tables(dst, report)
    models.save(dst, [dataclasses.replace(card, file=FP32)], int8=INT8)
    times = {"threads": 1, "runs": latency_runs} | inference.measure_latency(
        files, latency_runs, seed
    )
    (dst / "latency.json").write_text(json.dumps(times, indent=1) + "\n")
    report_tables.log_summary(report, times)


def _methods(dst: Path, methods: tuple[str, ...]) -> dict[str, Path]:
    """INT8 files by calibration method; the first is that of the product."""
    if not methods or len({*methods}) < len(methods) or not {*methods} <= {*METHODS}:
        expected = f"one or more of {', '.join(METHODS)}"
        raise StageError(f"--calibration_method: expected {expected}, found {', '.join(methods)!r}")
    beside = {method: dst / f"model_int8_{method}.onnx" for method in methods[1:]}
    return {methods[0]: dst / INT8} | beside


def _named(methods: dict[str, Path]) -> dict[str, Path]:
    """The same files by the name of the network in the report."""
    names = ("int8" if path.name == INT8 else f"int8-{name}" for name, path in methods.items())
    return dict(zip(names, methods.values(), strict=True))


def _at_least(least: int, **values: float) -> None:
    for name, value in values.items():
        if value < least:
            raise StageError(f"--{name}: expected {least} or more, found {value}")


def _card(src: Path) -> Card:
    """The one network of a folder."""
    cards = models.load(src)
    if len(cards) != 1 or cards[0].features:
        what = f"{len(cards)} networks, {cards[0].features if cards else 0} tda features"
        raise StageError(f"{src}: expected one network with an image input, found {what}")
    return cards[0]


def _labels(train: Source, test: Source, card: Card, src: Path) -> NDArray[np.intp]:
    """(N,) test labels, after a look whether files and network belong together."""
    for source in (train, test):
        models.locate(source, card.bands)
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


if __name__ == "__main__":
    cli.main(run)
