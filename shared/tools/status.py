"""What lies below a data folder, and whether it still follows from its inputs.

    python3 -m shared.tools.status data/demo

there    as recorded, and so are its inputs
stale    an input is not found any more: changed, moved or gone; or it is stale itself
changed  not what was recorded
partial  unfinished
lost     the record is there, the product is not

Standard library only: it runs with the machine's own Python, before any environment is made.
"""

import argparse
import contextlib
import fcntl
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from shared.runs import record
from shared.tools import inventory
from shared.tools.inventory import Record

HEAD = ("state", "product", "stage", "seconds", "MB", "revision", "why")


@dataclass(frozen=True)
class State:
    """One product: its path, one of the words above, why, and the record it is said by."""

    path: Path
    word: str
    reason: str
    made: Record


@dataclass
class Survey:
    """What is known of one folder.

    Attributes:
        known: record of each product.
        found: path by digest.
        large: newest change of the files too large to be hashed here, 0 when there are none.
        done: states found so far, inputs before what is made of them.
    """

    known: dict[Path, Record]
    found: dict[str, Path]
    large: int
    done: dict[Path, State] = field(default_factory=dict)

    def visit(self, path: Path) -> State:
        """The state of one product, after those of its inputs."""
        if path not in self.done:
            made = self.known[path]
            word, reason = "there", ""
            if not path.exists():
                word, reason = "lost", "the record is there, the product is not"
            elif not inventory.is_intact(path, made):
                word, reason = "changed", "not what was recorded"
            elif reasons := dict.fromkeys(self._complaints(path, made)):
                word, reason = "stale", "; ".join(reasons)
            self.done[path] = State(path, word, reason, made)
        return self.done[path]

    def _complaints(self, path: Path, made: Record) -> Iterator[str]:
        for name, digest in inventory.list_inputs(made):
            source = self.found.get(digest)
            product = source and inventory.containing_product(source, self.known)
            if source is None and not self._perhaps_large(path):
                yield f"input --{name} changed, moved or gone"
            elif product and product != path and self.visit(product).word != "there":
                yield f"{product.name} is {self.visit(product).word}"

    def _perhaps_large(self, path: Path) -> bool:
        return 0 < self.large <= record.record_path(path).stat().st_mtime_ns


def collect_states(root: Path) -> list[State]:
    """Every product and unfinished product below a folder, inputs first."""
    known = inventory.find_products(root)
    wanted = {digest for made in known.values() for _, digest in inventory.list_inputs(made)}
    loose = [path for path in inventory.find_unrecorded(root, known) if path.is_file()]
    large = [path for path in loose if inventory.total_bytes(path) >= record.LARGE]
    newest = max((path.stat().st_mtime_ns for path in large), default=0)
    survey = Survey(known, inventory.find_content(root, wanted, known), newest)
    for path in known:
        survey.visit(path)
    return [*survey.done.values(), *_partials(root)]


def _partials(root: Path) -> Iterator[State]:
    for ticket in sorted(root.rglob("*" + inventory.PLAN)):
        partial = ticket.with_name(ticket.name[: -len(".json")])
        if partial.exists():
            reason = "being made now" if _is_locked(ticket) else "stopped; the same command goes on"
            made: Record = {"plan": {"stage": "?"}}
            with contextlib.suppress(ValueError):
                made = {"plan": json.loads(ticket.read_text())}
            yield State(partial.with_suffix(""), "partial", reason, made)


def _is_locked(ticket: Path) -> bool:
    with ticket.open() as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return True
        except OSError:
            return False  # a network volume without locks
    return False


def format_table(root: Path, found: list[State]) -> str:
    """The states as aligned text, one line each."""
    lines = [HEAD, *(_line(root, state) for state in found)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    form = "  ".join(f"{{:{side}{width}}}" for side, width in zip("<<<>><<", widths, strict=True))
    return "\n".join(form.format(*line).rstrip() for line in lines)


def _line(root: Path, state: State) -> tuple[str, ...]:
    made, path = state.made, state.path.relative_to(root).as_posix()
    revision, _, dirty = str(made.get("revision", "")).partition("-")
    seconds = f"{made['seconds']:.1f}" if "seconds" in made else ""
    size = f"{made['output']['bytes'] / 1e6:.1f}" if "output" in made else ""
    shown = revision[:10] + "+" * bool(dirty)
    return state.word, path, made["plan"]["stage"], seconds, size, shown, state.reason


def main(argv: list[str] | None = None) -> int:
    """Print the table; 0, or 2 when there is no such folder."""
    parser = argparse.ArgumentParser(
        prog="shared.tools.status", description=__doc__.splitlines()[0]
    )
    parser.add_argument("root", type=Path, help="data folder, such as data or data/demo")
    root = parser.parse_args(argv).root
    if not root.is_dir():
        print(f"error: {root}: expected a folder of products, found none", file=sys.stderr)
        return 2
    found = collect_states(root)
    print(format_table(root, found) if found else f"{root}: no products yet")
    return 0


if __name__ == "__main__":
    sys.exit(main())
