"""Lists the products in a data folder and whether each is up to date.

    python3 -m shared.tools.status data/demo

up to date  the product and its inputs are as recorded
stale       an input was changed, moved or removed, or is itself not up to date
changed     the product is not as recorded
partial     unfinished
missing     the record exists, the product does not

Standard library only: it runs with the machine's own Python, before any environment is made.
"""

import argparse
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from shared import terminal
from shared.reading import documents
from shared.runs import record
from shared.tools import inventory
from shared.tools.inventory import Record

UP_TO_DATE = "up to date"
HEAD = ("state", "product", "stage", "seconds", "MB", "revision", "why")


@dataclass(frozen=True)
class State:
    """One product: its path, one of the states above, the reason, and its record."""

    path: Path
    word: str
    reason: str
    made: Record


@dataclass
class Survey:
    """The products of one folder and their states.

    Attributes:
        known: record of each product, by path.
        paths: path by digest.
        large: newest modification time of files too large to be hashed here, 0 without any.
        done: states so far, inputs before the products that use them.
    """

    known: dict[Path, Record]
    paths: dict[str, Path]
    large: int
    done: dict[Path, State] = field(default_factory=dict)

    def visit(self, path: Path) -> State:
        """The state of one product, after those of its inputs."""
        if path not in self.done:
            made = self.known[path]
            word, reason = UP_TO_DATE, ""
            if not path.exists():
                word, reason = "missing", "the record exists, the product does not"
            elif not inventory.is_intact(path, made):
                word, reason = "changed", "the product is not as recorded"
            elif reasons := dict.fromkeys(self._reasons(path, made)):
                word, reason = "stale", "; ".join(reasons)
            self.done[path] = State(path, word, reason, made)
        return self.done[path]

    def _reasons(self, path: Path, made: Record) -> Iterator[str]:
        for name, digest in inventory.list_inputs(made):
            source = self.paths.get(digest)
            if source is None and made["plan"]["stage"] == "merge":
                continue  # it holds all that its parts held, which may be removed
            product = source and inventory.containing_product(source, self.known)
            if source is None and not self._perhaps_large(path):
                yield f"input --{name} was changed, moved or removed"
            elif product and product != path and self.visit(product).word != UP_TO_DATE:
                yield f"{product.name} is {self.visit(product).word}"

    def _perhaps_large(self, path: Path) -> bool:
        return 0 < self.large <= record.record_path(path).stat().st_mtime_ns


def collect_states(root: Path) -> list[State]:
    """Every product and unfinished product in a folder, inputs first."""
    known = inventory.find_products(root)
    digests = {digest for made in known.values() for _, digest in inventory.list_inputs(made)}
    loose = [path for path in inventory.find_unrecorded(root, known) if path.is_file()]
    large = [path for path in loose if inventory.total_bytes(path) >= record.LARGE]
    newest = max((path.stat().st_mtime_ns for path in large), default=0)
    survey = Survey(known, inventory.find_content(root, digests, known), newest)
    for path in known:
        survey.visit(path)
    return [*survey.done.values(), *_partials(root)]


def _partials(root: Path) -> Iterator[State]:
    for plan_file in sorted(root.rglob("*" + inventory.PLAN)):
        partial = plan_file.with_name(plan_file.name[: -len(".json")])
        if partial.exists():
            reason = (
                "being made now"
                if record.is_locked(plan_file)
                else "stopped; the same command continues it"
            )
            made: Record = {"plan": {"stage": "?"}}
            with contextlib.suppress(OSError, ValueError):
                plan = documents.read_json(plan_file)
                made = {"plan": plan} if record.is_plan(plan) else made
            yield State(partial.with_suffix(""), "partial", reason, made)


def name_lost_images(states: list[State], present: set[str] | None) -> list[State]:
    """Say of each product that the image it was made in is not in the engine any more.

    Args:
        states: of products.
        present: ids of the images in the engine; None where no engine answers.
    """
    if present is None:
        return states
    return [
        replace(state, reason="; ".join(filter(None, [state.reason, "its image is gone"])))
        if state.made.get("image", "").startswith("sha256:") and state.made["image"] not in present
        else state
        for state in states
    ]


def list_images() -> set[str] | None:
    """Ids of the images in the engine, None where none answers."""
    words = ["docker", "image", "ls", "--all", "--quiet", "--no-trunc"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else set(done.stdout.split())


def format_table(root: Path, states: list[State]) -> str:
    """The states as aligned text, one line each."""
    lines = [HEAD, *(_line(root, state) for state in states)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    form = "  ".join(f"{{:{side}{width}}}" for side, width in zip("<<<>><<", widths, strict=True))
    return "\n".join(form.format(*line).rstrip() for line in lines)


def _line(root: Path, state: State) -> tuple[str, ...]:
    made, path = state.made, state.path.relative_to(root).as_posix()
    revision, _, dirty = str(made.get("revision", "")).partition("-")
    seconds = f"{made['seconds']:.1f}" if "seconds" in made else ""
    size = f"{made['output']['bytes'] / 1e6:.1f}" if "output" in made else ""
    shown = revision[:10] + "+" * bool(dirty)
    cells = (state.word, path, made["plan"]["stage"], seconds, size, shown, state.reason)
    return tuple(map(terminal.escape, cells))


def main(argv: list[str] | None = None) -> int:
    """Print the table; 0, or 2 when there is no such folder."""
    parser = argparse.ArgumentParser(
        prog="shared.tools.status", description=__doc__.splitlines()[0]
    )
    parser.add_argument("root", type=Path, help="data folder, such as data or data/demo")
    root = parser.parse_args(argv).root
    if not root.is_dir():
        line = f"error: {root}: expected a folder of products, found none"
        print(terminal.join_line(line), file=sys.stderr)
        return 2
    states = collect_states(root)
    if any(state.made.get("image") for state in states):
        states = name_lost_images(states, list_images())
    text = format_table(root, states) if states else f"{root}: no products yet"
    print(terminal.escape_lines(text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
