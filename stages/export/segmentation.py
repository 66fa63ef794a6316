"""Export of a segmentation network: static FP32 and INT8, any size, and what eight bits cost."""

import dataclasses
import functools
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared import models, onnx_graphs, patches, tiles
from shared.errors import StageError
from shared.int8 import Scheme
from shared.models import Card
from shared.patches import Source
from shared.progress import say
from shared.reading import documents
from stages.export import (
    calibration,
    fix_parity,
    inference,
    metis_report,
    product_files,
    report_tables,
    static_graph,
    tile_measures,
)
from stages.export.settings import Computing, Int8

DYNAMIC = "model_any_size.onnx"
TIMED = (1,)  # tiles of one call whose latency is measured


@dataclass(frozen=True)
class Wanted:
    """What is asked of the export.

    Attributes:
        metis: version of the SDK.
        strict: whether a network that it would not compile is refused.
        fix: whether remedies of the lint are carried out.
        tolerance: largest accepted difference of a logit, as for `comparison.allow`.
        int8: calibration and schemes.
        computing: processors and timing.
    """

    metis: str
    strict: bool
    fix: bool
    tolerance: float
    int8: Int8
    computing: Computing


def check_use(range: models.Range | None, int8: Int8) -> None:
    """Refuse flags that concern classifiers alone.

    Raises:
        StageError: names the flag.
    """
    given = {
        "--range": range is not None,
        "--blame_per_class": int8.blame_per_class not in (0, Int8.blame_per_class),
    }
    if flag := next((name for name, there in given.items() if there), None):
        raise StageError(f"{flag}: concerns classifiers, found a segmentation network")


def export(
    src: Path, train: Path, test: Path, files: dict[str, Path], int8_files: dict[Scheme, Path],
    wanted: Wanted,
) -> None:  # fmt: skip
    """Write the product into the folder of the files.

    Args:
        src: model folder with one network.
        train: tile file whose tiles calibrate INT8.
        test: tile file on which IoU is measured; its tiles decide the size of the static networks.
        files: static ONNX files to write, by their name in the report; "fp32" first.
        int8_files: those of INT8 by scheme.
        wanted: all else.

    Raises:
        StageError: files and network do not belong together; what the accelerator does not take.
    """
    fp32 = files[tile_measures.FP32]
    dst, workers = fp32.parent, wanted.computing.workers()
    with (
        patches.read(train, "image", "mask") as training,
        patches.read(test, "image", "mask") as testing,
    ):
        card = _read_card(src, training, testing)
        given = src / card.file
        dst.mkdir(exist_ok=True)
        _write_fp32(fp32, given, card, testing, wanted)
        product_files.once(dst / DYNAMIC, functools.partial(shutil.copyfile, given))
        marks = tile_measures.characterise(tiles.read_table(training).counts)
        rows = calibration.choose_rows(marks, wanted.int8.calibration_per_class, wanted.int8.seed)
        observe = functools.cache(
            lambda: calibration.observe_tensors(fp32, training, card, rows, workers)
        )
        product_files.write_int8(int8_files, fp32, observe)
        told = _count(dst, {**files, tile_measures.GIVEN: given}, testing, card, workers)
        total = testing.total
    apart = tile_measures.check_parity(told, given, wanted.tolerance)
    report = {"task": "segmentation", "tiles": total, "size": card.size}
    report |= tile_measures.compare(dst, told, files, card.classes)
    report["parity"] = {"largest_logit_difference": apart, "tolerance": wanted.tolerance}
    report |= {"fix": fix_parity.load(dst)} if wanted.fix else {}
    report["calibration"] = {
        "rows": len(rows), "per_class": wanted.int8.calibration_per_class,
        "seed": wanted.int8.seed, "scheme": next(iter(int8_files)),
    }  # fmt: skip
    _finish(dst, card, files, report, wanted)


def _read_card(src: Path, train: Source, test: Source) -> Card:
    """How the static network takes tiles: those of the test file decide its size."""
    cards = models.load(src, "segmentation")
    if len(cards) != 1:
        raise StageError(f"{src}: expected one network, found {len(cards)}")
    card = cards[0]
    for source in (train, test):
        models.locate_bands(source, card.bands)
        if source.classes != card.classes:
            raise StageError(
                f"{source.path}: expected the network's classes {', '.join(card.classes)}, found "
                f"{', '.join(source.classes)}"
            )
    sides = [source["mask"].shape[1:] for source in (train, test)]
    if sides[0] != sides[1]:
        raise StageError(
            f"{train.path}: expected tiles {sides[1]} as {test.path}, found {sides[0]}"
        )
    return dataclasses.replace(card, size=sides[1][0])


def _write_fp32(path: Path, given: Path, card: Card, test: Source, wanted: Wanted) -> None:
    def make(part: Path) -> None:
        fitted = static_graph.make_static(onnx_graphs.load(given), card, given)
        said = None
        if wanted.fix:
            threads = wanted.computing.workers()
            proof = fix_parity.Proof(wanted.tolerance, calibration.BLOCK, threads)
            fitted, said = fix_parity.carry_out(fitted, wanted.metis, given, test, card, proof)
            say(f"{given}: {fix_parity.describe(said)}")
            fix_parity.save(path.parent, said)
        metis_report.report_violations(
            fitted, given, wanted.metis, wanted.strict, tried=said is not None
        )
        part.write_bytes(fitted.SerializeToString(deterministic=True))

    product_files.once(path, make)


def _count(
    dst: Path, files: dict[str, Path], test: Source, card: Card, threads: int
) -> dict[str, dict[str, Any]]:
    def make(part: Path) -> None:
        told = tile_measures.count(files, test, card, threads)
        part.write_text(json.dumps(told, indent=1) + "\n")

    product_files.once(dst / tile_measures.FILE, make)
    told: dict[str, dict[str, Any]] = documents.read_json(dst / tile_measures.FILE)
    return told


def _finish(
    dst: Path, card: Card, files: dict[str, Path], report: dict[str, Any], wanted: Wanted
) -> None:
    """Write the lint, the report, the model card and the latencies."""
    network = onnx_graphs.load(files[tile_measures.FP32])
    report["graph"] = static_graph.describe(network)
    report["metis"] = metis_report.write_lint(dst, network, wanted.metis)
    report_tables.write_tables(dst, report)
    models.save(
        dst, [dataclasses.replace(card, file=files[tile_measures.FP32].name)],
        int8=files["int8"].name, scheme=report["calibration"]["scheme"], any_size=DYNAMIC,
    )  # fmt: skip
    runs, seed = wanted.computing.latency_runs, wanted.int8.seed
    times = {"threads": 1, "runs": runs} | inference.measure_latency(files, runs, seed, TIMED)
    (dst / "latency.json").write_text(json.dumps(times, indent=1) + "\n")
    report_tables.log_summary(report, times)
