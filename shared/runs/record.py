"""The record of a product, `PRODUCT.run.json`; the plan in it is the product's identity."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Plan = dict[str, Any]
Fingerprint = dict[str, Any]  # "sha256", "bytes", "modified_ns", as `fingerprint` gives them
LARGE = 2**30  # bytes from which hashing shows a progress bar
NOT_COMPARED = ("latency.json",)  # contains times, which differ between any two runs


def record_path(product: Path) -> Path:
    """The path of the record of a product."""
    return product.with_name(product.name + ".run.json")


def load(product: Path) -> dict[str, Any] | None:
    """The record of a product, or None when it is missing or not readable."""
    try:
        record: dict[str, Any] = json.loads(record_path(product).read_text())
        whole = isinstance(record["plan"], dict) and record["output"].keys() >= {"sha256", "bytes"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if whole else None


def digest(path: Path, large_inputs: list[Fingerprint] | None = None) -> str:
    """SHA-256 of an input, from its record while its size and modification time are unchanged.

    Args:
        path: file or folder.
        large_inputs: fingerprints of large inputs that were read before and are not read again; a
            new one is added.
    """
    record = load(path)
    if record and is_unchanged(path, record):
        return str(record["output"]["sha256"])
    size, newest = _size_and_time(_files(path))
    for known in large_inputs or []:
        if (known["bytes"], known["modified_ns"]) == (size, newest):
            return str(known["sha256"])
    measured = fingerprint(path)
    if large_inputs is not None and size >= LARGE:
        large_inputs.append(measured)
    return str(measured["sha256"])


def is_unchanged(path: Path, record: dict[str, Any]) -> bool:
    """Whether the size and modification time of a product are those of its record."""
    size, newest = _size_and_time(_files(path))
    output = record["output"]
    return size == output["bytes"] and newest == output.get("modified_ns")


def fingerprint(path: Path) -> Fingerprint:
    """Digest, size and time of a file, or of a folder by the names and digests of its files.

    Returns:
        ``{"sha256": …, "bytes": …, "modified_ns": …}``, the last being the time of the newest
        file: it differs when another file of the same size is moved here.
    """
    files = _files(path)
    size, newest = _size_and_time(files)
    if path.is_file():
        return {"sha256": _hash(path), "bytes": size, "modified_ns": newest}
    whole = hashlib.sha256()
    for file in files:
        whole.update(f"{file.relative_to(path).as_posix()}\0{_hash(file)}\n".encode())
    return {"sha256": whole.hexdigest(), "bytes": size, "modified_ns": newest}


def _size_and_time(files: list[Path]) -> tuple[int, int]:
    stats = [file.stat() for file in files]
    newest = max((stat.st_mtime_ns for stat in stats), default=0)
    return sum(stat.st_size for stat in stats), newest


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    files = (file for file in path.rglob("*") if file.name not in NOT_COMPARED)
    return sorted(file for file in files if file.is_file())


def _hash(path: Path) -> str:
    size, sha = path.stat().st_size, hashlib.sha256()
    with path.open("rb") as file, _bar(size, path.name) as update:
        while block := file.read(2**22):
            sha.update(block)
            update(len(block))
    return sha.hexdigest()


@contextlib.contextmanager
def _bar(size: int, name: str) -> Iterator[Callable[[int], object]]:
    """A progress bar for large files; imported only then, so other calls need no package."""
    if size < LARGE:
        yield lambda _: None
        return
    from shared.progress import bar

    with bar(size, f"hash {name}", unit="B") as progress:
        yield progress.update


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
    """
    hashes: dict[str, Any] = {}
    for name, value in inputs.items():
        several = isinstance(value, tuple)
        hashes[name] = (
            [digest(path, large_inputs) for path in value]
            if several
            else value and digest(value, large_inputs)
        )
    return {"stage": stage, "parameters": json.loads(json.dumps(parameters)), "inputs": hashes}


def fill_defaults(old: Plan, defaults: Plan) -> Plan:
    """A recorded plan, completed with the defaults of parameters and inputs it does not contain.

    The default of a parameter that a stage gains later is what the stage did before.
    """
    parts = {
        part: {**defaults.get(part, {}), **old.get(part, {})} for part in ("parameters", "inputs")
    }
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
    target = record_path(product)
    draft = target.with_name(target.name + ".partial")
    try:
        draft.write_text(json.dumps(content, indent=1) + "\n")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
