"""What --fix did to a network: carried out, proved on the test rows, and written to fix.json."""

import collections
import dataclasses
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from shared import progress
from shared.errors import StageError
from shared.models import Card
from shared.patches import Source
from shared.reading import documents
from shared.unfinished import work
from stages.export import inference
from stages.export.comparison import allow, logit_differences
from stages.export.metis_fixes import Fix, fix
from stages.export.metis_lint import lint

FILE = "fix.json"
Logits = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Proof:
    """How a network before and after is compared.

    Attributes:
        tolerance: largest difference of logits that is accepted, as for `comparison.allow`.
        batch: rows that are prepared at once.
        threads: rows that are evaluated at the same time.
    """

    tolerance: float
    batch: int
    threads: int


def compare_outputs(
    one: onnx.ModelProto, other: onnx.ModelProto, blocks: Iterable[Logits], rows: int, threads: int
) -> dict[str, float]:
    """How the outputs of two networks of batch 1 differ: `agreement` of their classes, 0 to 1, of
    rows or pixels, `largest_logit_difference`, and `largest_logit` of the first one.

    Args:
        one: network with one input.
        other: of the same input and output.
        blocks: (n, C, H, W) inputs, N rows altogether.
        rows: N, for the progress bar.
        threads: rows at once.
    """
    sessions = [inference.open_session(model.SerializeToString()) for model in (one, other)]
    name, found = sessions[0].get_inputs()[0].name, list[dict[str, float]]()

    def both(image: Logits) -> dict[str, float]:
        said = [session.run(None, {name: image[None]})[0] for session in sessions]
        return logit_differences(said[0], said[1]) | {"largest_logit": float(np.abs(said[0]).max())}

    with ThreadPoolExecutor(threads) as pool, progress.bar(rows, "before and after --fix") as bar:
        for block in blocks:
            found += pool.map(both, block)
            bar.update(len(block))
    return {
        "agreement": float(np.mean([one["agreement"] for one in found])),
        "largest_logit_difference": max(one["largest_logit_difference"] for one in found),
        "largest_logit": max(one["largest_logit"] for one in found),
    }


def count(fixes: Iterable[Fix]) -> str:
    """Which operators were replaced, and how many: "19 × HardSwish, 9 × HardSigmoid"."""
    kinds = collections.Counter(one.operator for one in fixes)
    return ", ".join(f"{number} × {kind}" for kind, number in kinds.most_common()) or "nothing"


def carry_out(
    model: onnx.ModelProto, metis: str, path: Path, test: Source, card: Card, proof: Proof
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The network with its remedies, and what fix.json says of it.

    Args:
        model: as from `static_graph.make_static`.
        metis: version of the SDK whose rules count.
        path: where the network came from, for messages.
        test: patch file of the N rows that both are run on.
        card: how the network wants them.
        proof: how.

    Raises:
        StageError: a logit differs by more than the tolerance allows, or a class.
    """
    fixed, fixes = fix(model, metis)
    parity = {"agreement": 1.0, "largest_logit_difference": 0.0, "largest_logit": 0.0}
    if fixes:
        blocks = inference.iterate_inputs(test, card, proof.batch)
        parity = compare_outputs(model, fixed, blocks, test.total, proof.threads)
    largest, others = parity["largest_logit_difference"], 1 - parity["agreement"]
    allowed = allow(proof.tolerance, parity["largest_logit"])
    if not largest <= allowed or others:
        raise StageError(
            f"{path}: --fix: expected the same outputs on {test.path} up to {allowed:.3g} "
            f"(--tolerance), found logits {largest:.3g} apart and {round(others * test.total)} of "
            f"{test.total} rows in another class; rewritten was {count(fixes)}; leave --fix out"
        )
    return fixed, {
        "metis": metis,
        "violations": {"before": len(lint(model, metis)), "after": len(lint(fixed, metis))},
        "parity": parity | {"rows": test.total, "tolerance": proof.tolerance},
        "rewritten": [dataclasses.asdict(one) for one in fixes],
    }


def describe(said: dict[str, Any]) -> str:
    """One line of what fix.json says."""
    fixes = [Fix(**entry) for entry in said["rewritten"]]
    before, after = said["violations"]["before"], said["violations"]["after"]
    parity = said["parity"]
    return (
        f"--fix rewrote {count(fixes)}: {before} violations of Metis {said['metis']} before, "
        f"{after} after; on {parity['rows']} test rows equal classes and logits at most "
        f"{parity['largest_logit_difference']:.2g} apart"
    )


def save(folder: Path, said: dict[str, Any]) -> None:
    """Write fix.json."""
    (folder / FILE).write_text(json.dumps(said, indent=1) + "\n")
    work.note_files([folder / FILE])


def load(folder: Path) -> dict[str, Any]:
    """What fix.json says."""
    said: dict[str, Any] = documents.read_json(folder / FILE)
    return said
