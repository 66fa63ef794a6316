"""What the lint found, as messages, a refusal, and lint.json."""

import collections
import dataclasses
import json
from pathlib import Path
from typing import Any

import onnx

from shared.errors import StageError
from shared.progress import say
from stages.export import metis_rules
from stages.export.fix_remedies import remedy_of
from stages.export.metis_lint import Judgement, Violation, judge


def describe(judgement: Judgement) -> str:
    """One sentence on what is accelerated."""
    counts, share = judgement.count(), judgement.share()
    macs = "" if share is None else f", {100 * share:.2f} % of the MACs"
    total = sum(counts.values())
    host = f"; the host runs {counts['host']}" if counts["host"] else ""
    return f"accelerates {counts['accelerated']} of {total} operators{macs}{host}"


def describe_violation(violation: Violation, tried: bool = False) -> str:
    """A violation, whether the host helps, and how to get rid of it.

    Args:
        violation: of the lint.
        tried: whether --fix has done what it could.
    """
    host = " (on the host)" if violation.verdict == metis_rules.HOST else ""
    fix = " Or let export --fix try." if remedy_of(violation) and not tried else ""
    return f"{violation}{host}. {violation.remedy}{fix}"


def report_violations(
    model: onnx.ModelProto, path: Path, metis: str, strict: bool, *, tried: bool = False
) -> None:
    """Say every violation; refuse a network that is not compiled when strict.

    Of a network that is accelerated as a whole nothing is said: the report says it.

    Raises:
        StageError: it is not compiled, and strict.
    """
    judgement = judge(model, metis)
    for violation in judgement.violations:
        say(f"Metis {metis}: {describe_violation(violation, tried)}")
    if not (refusals := judgement.refusals()):
        if judgement.violations:
            say(f"{path}: Metis {metis} {describe(judgement)}")
        return
    kinds = collections.Counter(v.operator or v.attribute for v in refusals)
    counted = ", ".join(f"{count} × {kind}" for kind, count in kinds.most_common())
    what = f"{path}: Metis {metis} does not compile it: {counted}; first: {refusals[0]}"
    if strict:
        helped = any(map(remedy_of, refusals)) and not tried
        fix = "--fix rewrites what it can, " if helped else ""
        raise StageError(f"{what} ({fix}--nostrict goes on all the same)")
    say(what)


def write_lint(folder: Path, model: onnx.ModelProto, metis: str) -> dict[str, Any]:
    """lint.json with the judgement by every version; its numbers, and the version that counts."""
    judgements = {version: judge(model, version) for version in metis_rules.VERSIONS}
    content = {version: as_json(judgement) for version, judgement in judgements.items()}
    (folder / "lint.json").write_text(json.dumps(content, indent=1) + "\n")
    return {
        "version": metis,
        "input": judgements[metis].input,
        "violations": {version: len(j.violations) for version, j in judgements.items()},
        "operators": {version: j.count() for version, j in judgements.items()},
        "accelerated_macs": {version: j.share() for version, j in judgements.items()},
    }


def as_json(judgement: Judgement) -> dict[str, Any]:
    """For lint.json: share of the MACs, nodes by verdict, each node, each violation."""
    return {
        "input": judgement.input,
        "accelerated_macs": judgement.share(),
        "counts": judgement.count(),
        "nodes": [dataclasses.asdict(node) for node in judgement.nodes],
        "violations": [dataclasses.asdict(violation) for violation in judgement.violations],
    }
