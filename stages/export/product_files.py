"""The files of the product that take long, each made once: both networks and what they say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.int8 import Scheme, TensorObserver
from shared.models import Card, scores
from shared.patches import Source
from shared.progress import say
from shared.reading import documents
from shared.unfinished import work
from stages.export import (
    blame_picture,
    fix_parity,
    inference,
    int8_quantisation,
    layer_blame,
    metis_report,
    static_graph,
)
from stages.export.fix_parity import Proof
from stages.export.given_network import GivenNetwork
from stages.export.layer_blame import Rows

FP32, BLAME = "model.onnx", "blame.json"
Observe = Callable[[], dict[str, TensorObserver]]


def once(path: Path, make: Callable[[Path], object]) -> None:
    """Let ``make`` write a file beside ``path`` and rename it, unless an earlier run did."""
    if work.keeps(path):
        say(f"{path.name}: kept from the earlier run")
        return
    path.parent.mkdir(exist_ok=True)
    part = path.with_name("unfinished-" + path.name)
    make(part)
    work.publish(part, path)


def write_fp32(
    path: Path,
    network: GivenNetwork,
    test: Source,
    *,
    metis: str,
    strict: bool,
    proof: Proof | None = None,
) -> None:
    """The network as it is deployed.

    Args:
        path: ONNX file to write.
        network: what was given.
        test: patch file of the test rows, the first of which it is compared on.
        metis: version of the SDK that has to take it.
        strict: whether one that it would not take is refused.
        proof: how remedies of the lint are proved, which are carried out with it alone.

    Raises:
        StageError: as `GivenNetwork.adopt`, `static_graph.make_static`, `fix_parity.carry_out` and
            `metis_report.report_violations`.
    """

    def make(part: Path) -> None:
        ours = network.adopt(test).model
        fitted = static_graph.make_static(ours, network.card, network.path)
        said = None
        if proof is not None:
            fitted, said = fix_parity.carry_out(
                fitted, metis, network.path, test, network.card, proof
            )
        metis_report.report_violations(fitted, network.path, metis, strict, tried=bool(said))
        if said is not None:
            say(f"{network.path}: {fix_parity.describe(said)}")
            fix_parity.save(path.parent, said)
        part.write_bytes(fitted.SerializeToString(deterministic=True))

    if proof is not None and not work.keeps(path.parent / fix_parity.FILE):
        path.unlink(missing_ok=True)  # what was done comes with the network
    once(path, make)


def write_int8(paths: dict[Scheme, Path], whole: Path, observe: Observe) -> None:
    """The INT8 networks of several schemes, from one look at the same rows.

    Args:
        paths: ONNX files to write by scheme.
        whole: the FP32 network.
        observe: looks at the calibration rows, where that was not done yet.
    """
    for scheme, path in paths.items():

        def make(part: Path, scheme: Scheme = scheme) -> None:
            int8_quantisation.quantise(whole, part, observers=observe(), scheme=scheme)

        once(path, make)


def write_blame(
    folder: Path, observe: Observe, scheme: Scheme, images: Rows, labels: NDArray[np.integer]
) -> dict[str, Any]:
    """What each layer costs when it alone is quantised: blame.json, .csv, .png, and for the report.

    Args:
        folder: of the product, with the FP32 network.
        observe: looks at the calibration rows, where that was not done yet.
        scheme: how ranges are chosen.
        images: test rows; without any, nothing is done.
        labels: (M,) their classes.
    """
    if not len(labels):
        return {}

    def make(part: Path) -> None:
        lines = layer_blame.measure_layers(folder / FP32, observe(), scheme, images, labels)
        part.write_text(json.dumps(lines, indent=1) + "\n")

    once(folder / BLAME, make)
    lines = documents.read_json(folder / BLAME)
    worst = layer_blame.find_worst(lines)
    layer_blame.write_table(folder / "blame.csv", lines)
    title = f"Each layer alone in eight bits, {scheme}, {len(labels)} test rows; longer is better"
    blame_picture.draw(folder / "blame.png", lines, [line["layer"] for line in worst], title)
    return {"scheme": scheme, "rows": len(labels), "worst": worst}


def write_logits(
    network: Path, folder: Path, source: Source, card: Card, batch: int, threads: int
) -> NDArray[np.float32]:
    """(N, K) of one network over a patch file; kept in ``folder/test_logits.npy``."""

    def make(path: Path) -> None:
        blocks = inference.iterate_inputs(source, card, batch)
        np.save(path, inference.compute_logits(network, blocks, source.total, threads))

    once(folder / "test_logits.npy", make)
    return scores.read_array(folder / "test_logits.npy", 2)
