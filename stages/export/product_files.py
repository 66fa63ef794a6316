"""The files of the product that take long, each made once: both networks and what they say."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.models import Card, scores
from shared.patches import Source
from shared.progress import say
from stages.export import (
    calibration,
    fix_parity,
    inference,
    int8_quantisation,
    metis_report,
    static_graph,
)
from stages.export.fix_parity import Proof
from stages.export.given_network import GivenNetwork


def once(path: Path, make: Callable[[Path], object]) -> None:
    """Let ``make`` write a file beside ``path`` and rename it, unless an earlier run did."""
    if path.exists():
        say(f"{path.name}: kept from the earlier run")
        return
    path.parent.mkdir(exist_ok=True)
    part = path.with_name("unfinished-" + path.name)
    make(part)
    part.rename(path)


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

    once(path, make)


def write_int8(
    paths: dict[str, Path],
    whole: Path,
    source: Source,
    card: Card,
    rows: NDArray[np.intp],
    threads: int,
) -> None:
    """The INT8 networks of several calibration methods, from one look at the same rows.

    Args:
        paths: ONNX files to write by method.
        whole: the FP32 network.
        source: patch file of the calibration rows.
        card: how the network wants patches.
        rows: (M,) calibration rows.
        threads: rows at once; changes time, not results.
    """
    complete = all(path.exists() for path in paths.values())
    histograms = {} if complete else calibration.observe_tensors(whole, source, card, rows, threads)
    for method, path in paths.items():
        once(
            path,
            functools.partial(
                int8_quantisation.quantise, whole, histograms=histograms, method=method
            ),
        )


def write_logits(
    network: Path, folder: Path, source: Source, card: Card, batch: int, threads: int
) -> NDArray[np.float32]:
    """(N, K) of one network over a patch file; kept in ``folder/test_logits.npy``."""

    def make(path: Path) -> None:
        blocks = inference.iterate_inputs(source, card, batch)
        np.save(path, inference.compute_logits(network, blocks, source.total, threads))

    once(folder / "test_logits.npy", make)
    return scores.read_array(folder / "test_logits.npy", 2)
