"""The record of a product, `PRODUCT.run.json`; the plan in it is the product's identity."""

import fcntl
import json
from pathlib import Path
from typing import Any

from shared.errors import StageError
from shared.reading import documents
from shared.runs.fingerprints import (
    LARGE,
    NOT_COMPARED,
    Fingerprint,
    files_of,
    fingerprint,
    is_fingerprint,
    is_same,
)
from shared.runs.linked_files import list_references

__all__ = [
    "JOINED",
    "LARGE",
    "NOT_COMPARED",
    "RECORD",
    "Fingerprint",
    "Plan",
    "differences",
    "digest",
    "fill_defaults",
    "fingerprint",
    "is_fingerprint",
    "is_locked",
    "is_plan",
    "is_unchanged",
    "load",
    "plan",
    "read",
    "record_path",
    "save",
    "written_files",
]

Plan = dict[str, Any]
RECORD = ".run.json"
EMPTY: Plan = {"stage": "", "parameters": {}, "inputs": {}}
JOINED = ".joined.json"  # of a part that was removed once it was joined


def record_path(product: Path) -> Path:
    """The path of the record of a product."""
    place = product.resolve() if product.name in ("", "..") else product  # "." has no name
    return place.parent / (place.name + RECORD)


def written_files(product: Path) -> tuple[Path, ...]:
    """The record of a product, and the draft of it."""
    path = record_path(product)
    return path, path.with_name(path.name + ".partial")


def load(product: Path) -> dict[str, Any] | None:
    """The record of a product, or None when it is missing or not readable."""
    return read(record_path(product))


def read(path: Path) -> dict[str, Any] | None:
    """The record in a file, or None when it is missing or not readable."""
    try:
        record: dict[str, Any] = documents.read_json(path)
        whole = is_plan(record["plan"]) and is_fingerprint(record["output"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return {**record, "plan": {**EMPTY, **record["plan"]}} if whole else None


def is_plan(content: Any) -> bool:
    """Whether this is a plan, as far as those who read it rely on its form."""
    if not isinstance(content, dict):
        return False
    if any(not isinstance(content.get(name, one), type(one)) for name, one in EMPTY.items()):
        return False
    inputs = content.get("inputs", {})
    lists = [value if isinstance(value, list) else [value] for value in inputs.values()]
    return all(digest is None or isinstance(digest, str) for row in lists for digest in row)


def digest(path: Path, large_inputs: list[Fingerprint] | None = None) -> str:
    """SHA-256 of an input, from its record while its size and modification time are unchanged.

    Args:
        path: file or folder.
        large_inputs: fingerprints of inputs that were read before, large ones or such that other
            files belong to; these are not read again, and a new one is added.
    """
    record, files = load(path), files_of(path)
    if record and is_same(files, record["output"]):
        return str(record["output"]["sha256"])
    for known in large_inputs or []:
        if is_same(files, known) and ("linked" in known or not list_references(files)):
            return str(known["sha256"])
    measured = fingerprint(path)
    linked = measured.get("linked", [])
    # Where a file is missing, nothing would tell that it is there again.
    if large_inputs is not None and linked is not None and (linked or measured["bytes"] >= LARGE):
        large_inputs.append(measured | {"linked": linked})
    return str(measured["sha256"])


def is_unchanged(path: Path, record: dict[str, Any]) -> bool:
    """Whether the size and modification time of a product are those of its record."""
    return is_same(files_of(path), record["output"])


def plan(
    stage: str,
    parameters: dict[str, Any],
    inputs: dict[str, Any],
    large_inputs: list[Fingerprint] | None = None,
) -> Plan:
    """The identity of a product: stage, plain parameters, and the digest of every input.

    Args:
        stage: hyphenated stage name.
        parameters: everything but paths.
        inputs: parameter name to Path, tuple of Path, or None when an optional one is not given.
        large_inputs: fingerprints of large inputs that were read before, see `digest`.

    Raises:
        StageError: an input is a product that is no longer what its record says.
    """
    hashes: dict[str, Any] = {}
    for name, value in inputs.items():
        if isinstance(value, tuple):
            hashes[name] = [_digest_input(path, large_inputs) for path in value]
        else:
            hashes[name] = value and _digest_input(value, large_inputs)
    return {"stage": stage, "parameters": json.loads(json.dumps(parameters)), "inputs": hashes}


def _digest_input(path: Path, large_inputs: list[Fingerprint] | None) -> str:
    measured, made = digest(path, large_inputs), load(path)
    if made and measured != made["output"]["sha256"]:
        raise StageError(
            f"{path}: was changed or damaged after it was made; remove it and make it again, or "
            f"remove {record_path(path)} to use it as it is"
        )
    return measured


def fill_defaults(old: Plan, defaults: Plan) -> Plan:
    """A recorded plan, completed with the defaults of parameters and inputs it does not contain.

    The default of a parameter that a stage gains later is what the stage did before, or
    `shared.cli.gained` says what that was. A value that had another name then
    (`shared.cli.formerly`) gets the one of today.
    """
    parts = {
        part: {**defaults.get(part, {}), **old.get(part, {})} for part in ("parameters", "inputs")
    }
    for name, names in defaults.get("former", {}).items():
        value = parts["parameters"].get(name)
        parts["parameters"][name] = names.get(str(value).lower(), value)
    return {**old, **parts}


def differences(old: Plan, new: Plan) -> str:
    """One clause per parameter or input that differs: ``scale 2, now 4``."""
    clauses = []
    for part in ("parameters", "inputs"):
        before, after = old.get(part, {}), new.get(part, {})
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                values = f" {before.get(name)!r}, now {after.get(name)!r}"
                clauses.append(name + (values if part == "parameters" else ": other content"))
    if old.get("stage") != new["stage"]:
        clauses.insert(0, f"made by stage {old.get('stage')}")
    return "; ".join(clauses)


def save(product: Path, content: dict[str, Any]) -> None:
    """Write the record of a product in one step."""
    target, draft = written_files(product)
    try:
        draft.write_text(json.dumps(content, indent=1) + "\n")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def is_locked(plan_file: Path) -> bool:
    """Whether a run holds the lock of an unfinished product; its plan file is what is locked."""
    with plan_file.open() as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return True
        except OSError:
            return False  # a network volume without locks
    return False
