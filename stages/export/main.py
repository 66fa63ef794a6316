"""The student in the form that is deployed, in FP32 and INT8, with what each step costs."""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from shared import cli, models, patches
from shared.errors import StageError
from shared.int8 import SCHEMES, Scheme
from shared.models import Card
from stages.export.settings import Computing, Int8

FP32, INT8 = "model.onnx", "model_int8.onnx"


def run(
    *,
    src: Path,
    train: Path,
    test: Path,
    dst: Path,
    metis: Literal["1.2", "1.6", "1.8"] = "1.8",
    strict: bool = True,
    fix: bool = False,
    tolerance: Annotated[float, cli.at_least(0)] = 1e-3,
    range: models.Range | None = None,
    int8: Int8 = Int8(),
    computing: Computing = Computing(),
) -> None:
    """Export a trained network to static FP32 and INT8 ONNX and compare them.

    Args:
        src: model folder with one network: a product of distill or teacher, which has
            test_logits.npy and test_labels.npy, an ONNX file of others and its description, or a
            product of segment.
        train: patch file whose rows calibrate INT8; of a segmentation network a tile file.
        test: patch file the network was tested on, with the same rows in the same order; of a
            segmentation network a tile file, whose tiles also decide the size of the export.
        dst: folder to write: the ONNX files, model.json, report.json, scores, latency.json; what
            each layer of a classifier costs in eight bits (blame.csv, blame.png).
        metis: version of the SDK that has to compile the network; the host may run a part.
        strict: refuse a network that it would not compile; --nostrict only reports why.
        fix: rewrite what breaks a rule where the outputs stay the same, proved on the test rows.
        tolerance: largest accepted difference from the logits that training stored, and by --fix,
            over the largest magnitude of these logits or 1.
        range: which values the levels of its pictures stand for: published (the scale of the patch
            file) or fitted (limits per band from train). Without it, what model.json says; only for
            a network that was not trained on levels may the flag say something else.
    """
    int8_files, workers = _int8_files(dst, int8.scheme), computing.workers()
    files = {"fp32": dst / FP32} | _by_report_name(int8_files)
    if _is_segmentation(src):
        from stages.export import segmentation

        segmentation.check_use(range, int8)
        wanted = segmentation.Wanted(metis, strict, fix, tolerance, int8=int8, computing=computing)
        segmentation.export(src, train, test, files, int8_files, wanted)
        return
    logits = {}
    with patches.read(train, "label") as training, patches.read(test, "label") as testing:
        from stages.export import (
            calibration,
            comparison,
            fix_parity,
            given_network,
            layer_blame,
            product_files,
        )

        network = given_network.read(src, training, testing, range)
        card, labels = network.card, network.labels
        dst.mkdir(exist_ok=True)
        proof = fix_parity.Proof(tolerance, computing.batch, workers) if fix else None
        product_files.write_fp32(
            files["fp32"], network, testing, metis=metis, strict=strict, proof=proof
        )
        rows = calibration.choose_rows(training.labels(), int8.calibration_per_class, int8.seed)
        observe = functools.cache(
            lambda: calibration.observe_tensors(files["fp32"], training, card, rows, workers)
        )
        product_files.write_int8(int8_files, files["fp32"], observe)
        for name, path in files.items():
            folder = dst if name == "fp32" else dst / name
            logits[name] = product_files.write_logits(
                path, folder, testing, card, computing.batch, workers
            )
            if name == "fp32":
                where, outputs = network.stored_outputs(testing, computing.batch)
                difference = comparison.check_parity(logits[name], outputs, where, tolerance)
        tested = calibration.choose_rows(labels, int8.blame_per_class, int8.seed)
        images = layer_blame.Rows(testing, card, tested, workers)
        blame = product_files.write_blame(dst, observe, int8.scheme[0], images, labels[tested])
    report = comparison.compare_networks(dst, labels, logits, files, card.classes)
    report["parity"] = {"largest_logit_difference": difference, "tolerance": tolerance}
    report |= {"fix": fix_parity.load(dst)} if fix else {}
    report["calibration"] = {
        "rows": len(rows), "per_class": int8.calibration_per_class, "seed": int8.seed,
        "scheme": int8.scheme[0],
    }  # fmt: skip
    report |= {"blame": blame} if blame else {}
    _finish(dst, card, files, report, metis=metis, runs=computing.latency_runs, seed=int8.seed)


def _is_segmentation(src: Path) -> bool:
    """Whether a model folder holds networks that give a class for each pixel."""
    there = (src / models.MODEL_FILE).is_file()
    return there and models.load(src, None)[0].task == "segmentation"


def _finish(
    dst: Path,
    card: Card,
    files: dict[str, Path],
    report: dict[str, Any],
    *,
    metis: str,
    runs: int,
    seed: int,
) -> None:
    """Write the report, the lint, the model card and the latencies."""
    from shared import onnx_graphs
    from stages.export import inference, metis_report, report_tables, static_graph

    network = onnx_graphs.load(files["fp32"])
    report["graph"] = static_graph.describe(network)
    report["metis"] = metis_report.write_lint(dst, network, metis)
    report_tables.write_tables(dst, report)
    scheme = report["calibration"]["scheme"]
    models.save(dst, [dataclasses.replace(card, file=FP32)], int8=INT8, scheme=scheme)
    times = {"threads": 1, "runs": runs} | inference.measure_latency(files, runs, seed)
    (dst / "latency.json").write_text(json.dumps(times, indent=1) + "\n")
    report_tables.log_summary(report, times)


def _int8_files(dst: Path, schemes: tuple[Scheme, ...]) -> dict[Scheme, Path]:
    """INT8 files by scheme; the first is that of the product."""
    if not schemes or len({*schemes}) < len(schemes):
        raise StageError(
            f"--scheme: expected one or more different schemes of {', '.join(SCHEMES)}, "
            f"found {', '.join(schemes)!r}"
        )
    others = {scheme: dst / f"model_int8_{scheme}.onnx" for scheme in schemes[1:]}
    return {schemes[0]: dst / INT8} | others


def _by_report_name(int8_files: dict[Scheme, Path]) -> dict[str, Path]:
    """The same files by the name of the network in the report."""
    items = int8_files.items()
    names = ("int8" if path.name == INT8 else f"int8-{scheme}" for scheme, path in items)
    return dict(zip(names, int8_files.values(), strict=True))


if __name__ == "__main__":
    cli.main(run)
