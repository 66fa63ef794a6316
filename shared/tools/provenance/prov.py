"""A chain as PROV-JSON, the W3C's form for where things come from (PROV-JSON, 2013)."""

import json
from typing import Any

from shared.tools.provenance.chain import Chain, Content, Run

PREFIX = "lcz"
ADDRESS = "urn:lcz42-edge:"  # of our own words; nothing is looked up there


def as_prov(chain: Chain) -> dict[str, Any]:
    """The document: entities are contents, activities are runs, the agent is this software.

    Args:
        chain: the runs behind a product.
    """
    document: dict[str, Any] = {
        "prefix": {PREFIX: ADDRESS},
        "agent": {
            f"{PREFIX}:lcz42-edge": {
                "prov:type": {"$": "prov:SoftwareAgent", "type": "prov:QUALIFIED_NAME"}
            }
        },
    }
    document["entity"] = {name(c.digest): _entity(c) for c in chain.contents().values()}
    document["activity"] = {_run_name(run): _activity(run) for run in chain.runs.values()}
    for run in chain.runs.values():
        _add(
            document,
            "wasGeneratedBy",
            {"entity": name(run.made.digest), "activity": _run_name(run)},
        )
        _add(
            document,
            "wasAssociatedWith",
            {"activity": _run_name(run), "agent": f"{PREFIX}:lcz42-edge"},
        )
        for parameter, content in run.used:
            used = {"activity": _run_name(run), "entity": name(content.digest), "role": parameter}
            _add(document, "used", used)
    for content in chain.contents().values():
        if content.part_of:
            part = {"collection": name(content.part_of), "entity": name(content.digest)}
            _add(document, "hadMember", part)
    return document


def name(digest: str) -> str:
    """The identifier of a content."""
    return f"{PREFIX}:content-{digest}"


def _run_name(run: Run) -> str:
    return f"{PREFIX}:run-{run.made.digest}"


def _add(document: dict[str, Any], relation: str, ends: dict[str, str]) -> None:
    relations = document.setdefault(relation, {})
    relations[f"_:{relation}{len(relations) + 1}"] = {f"prov:{k}": v for k, v in ends.items()}


def _entity(content: Content) -> dict[str, Any]:
    entity: dict[str, Any] = {"prov:label": content.path or "content that is not there any more"}
    return entity | {f"{PREFIX}:sha256": content.digest}


def _activity(run: Run) -> dict[str, Any]:
    """What a record says of a run, as texts and numbers."""
    record, parameters = run.record, run.record["plan"]["parameters"]
    told = {key: record.get(key) for key in ("revision", "image", "python", "device", "host")}
    activity: dict[str, Any] = {"prov:label": run.stage}
    activity |= {f"{PREFIX}:{key}": value for key, value in told.items() if value}
    activity[f"{PREFIX}:seconds"] = {"$": str(record.get("seconds", 0)), "type": "xsd:double"}
    activity[f"{PREFIX}:parameters"] = json.dumps(parameters, sort_keys=True)
    activity[f"{PREFIX}:packages"] = json.dumps(record.get("packages", {}), sort_keys=True)
    return activity
