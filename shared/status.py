"""What lies below a data folder, and whether it still follows from its inputs.

    python3 -m shared.status data/demo

Standard library only: it runs with the machine's own Python, before any environment is made.
"""

import argparse
import fcntl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared import record

Record = dict[str, Any]
RECORD, TICKET = ".run.json", ".partial.json"
ORDER = {".h5": 0, ".npy": 1, ".safetensors": 2}  # what is an input most often is hashed first


@dataclass(frozen=True)
class State:
    """One product: its path, "there", "stale", "changed", "partial" or "lost", why, by which record."""

    path: Path
    word: str
    reason: str
    made: Record


def products(root: Path) -> dict[Path, Record]:
    """Every product below a folder that has a readable record, by path; reruns left aside."""
    paths = (path.with_name(path.name[: -len(RECORD)]) for path in sorted(root.rglob("*" + RECORD)))
    found = {path: record.load(path) for path in paths if path.suffix != ".rerun"}
    return {path: made for path, made in found.items() if made}


def inputs(made: Record) -> Iterator[tuple[str, str]]:
    """Parameter name and SHA-256 of every input in a record."""
    for name, value in made["plan"]["inputs"].items():
        for digest in value if isinstance(value, list) else [value]:
            if digest:
                yield name, digest


def find(
    root: Path, wanted: set[str], known: dict[Path, Record], limit: float = record.LARGE
) -> dict[str, Path]:
    """Where content with these SHA-256 lies below a folder: by record, else by hashing files.

    Args:
        root: folder to look in.
        wanted: digests.
        known: its products.
        limit: bytes from which a file or folder is not hashed.
    """
    found = {
        made["output"]["sha256"]: path
        for path, made in reversed(known.items())
        if path.exists() and record.fresh(path, made)
    }
    for path in candidates(root, known):
        if wanted <= found.keys():
            break
        if size(path) < limit:
            found.setdefault(record.measure(path)["sha256"], path)
    return {digest: found[digest] for digest in wanted if digest in found}


def candidates(root: Path, known: dict[Path, Record]) -> list[Path]:
    """Files without a record of their own, and folders in which no record lies."""
    taken = {parent for path in known for parent in (*path.parents, path)}
    entries = [path for path in sorted(root.rglob("*")) if not path.name.startswith(".")]
    loose = [
        path
        for path in entries
        if path not in taken and not path.name.endswith((RECORD, TICKET, ".partial", ".rerun"))
    ]
    return sorted(loose, key=lambda path: (path.is_dir(), ORDER.get(path.suffix, 9)))


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def states(root: Path) -> list[State]:
    """Every product and unfinished product below a folder, inputs before what is made of them."""
    known = products(root)
    wanted = {digest for made in known.values() for _, digest in inputs(made)}
    found, done = find(root, wanted, known), dict[Path, State]()
    for path in known:
        _visit(path, known, found, done)
    return [*done.values(), *_partials(root)]


def _visit(
    path: Path, known: dict[Path, Record], found: dict[str, Path], done: dict[Path, State]
) -> State:
    """The state of one product, after those of its inputs."""
    if path not in done:
        made = known[path]
        reasons = []
        for name, digest in inputs(made):
            source = found.get(digest)
            if source is None:
                reasons.append(f"input --{name} changed, moved or gone")
            elif (product := _product(source, known)) and product != path:
                before = _visit(product, known, found, done)
                if before.word != "there":
                    reasons.append(f"{product.name} is {before.word}")
        word = "stale" if reasons else "there"
        if not path.exists():
            word, reasons = "lost", ["the record is there, the product is not"]
        elif not record.fresh(path, made):
            word, reasons = "changed", ["touched after it was recorded"]
        done[path] = State(path, word, "; ".join(dict.fromkeys(reasons)), made)
    return done[path]


def _product(path: Path, known: dict[Path, Record]) -> Path | None:
    """The product that a path is, or lies in."""
    return next((place for place in (path, *path.parents) if place in known), None)


def _partials(root: Path) -> Iterator[State]:
    for ticket in sorted(root.rglob("*" + TICKET)):
        partial = ticket.with_name(ticket.name[: -len(".json")])
        if partial.exists():
            reason = "being made now" if _held(ticket) else "stopped; the same command goes on"
            plan = record.read(ticket) or {"stage": "?"}
            yield State(partial.with_suffix(""), "partial", reason, {"plan": plan})


def _held(ticket: Path) -> bool:
    with ticket.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def table(root: Path, found: list[State]) -> str:
    """The states as aligned text, one line each."""
    lines = [["state", "product", "stage", "seconds", "MB", "revision", "why"]]
    for state in found:
        made = state.made
        revision = str(made.get("revision", ""))
        dirty = "+" if revision.endswith("-dirty") else ""
        lines.append(
            [
                state.word,
                state.path.relative_to(root).as_posix(),
                made["plan"]["stage"],
                f"{made['seconds']:.1f}" if "seconds" in made else "",
                f"{made['output']['bytes'] / 1e6:.1f}" if "output" in made else "",
                revision.removesuffix("-dirty")[:10] + dirty,
                state.reason,
            ]
        )
    widths = [max(len(line[column]) for line in lines) for column in range(7)]
    right = (3, 4)
    return "\n".join(
        "  ".join(
            cell.rjust(widths[i]) if i in right else cell.ljust(widths[i])
            for i, cell in enumerate(line)
        ).rstrip()
        for line in lines
    )


def main(argv: list[str] | None = None) -> int:
    """Print the table; 0 when everything is there and fresh, 1 when not, 2 for a wrong folder."""
    parser = argparse.ArgumentParser(prog="shared.status", description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="data folder, such as data or data/demo")
    root = parser.parse_args(argv).root
    if not root.is_dir():
        print(f"error: {root}: expected a folder of products, found none", file=sys.stderr)
        return 2
    found = states(root)
    print(table(root, found) if found else f"{root}: no products yet")
    return int(any(state.word != "there" for state in found))


if __name__ == "__main__":
    sys.exit(main())
