"""How much of a run of make is left: which product this is, and about how long the rest takes.

When make reads its rules, the products that it is going to make are written to a state file. Each
step then counts the products that were started and estimates the time of those that are not made.
"""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from shared import terminal
from shared.errors import StageError
from shared.pipeline import containers
from shared.pipeline.plan import Plan
from shared.pipeline.product import Product
from shared.reading import documents

VARIABLE = "STAGE_PROGRESS"  # read by shared.progress; changes nothing but what a bar shows
RUNS = {  # what is said before the first product of a run
    "docker": "runner: docker, in containers (RUNNER=local: in the virtual environments .venvs/)",
    "local": "runner: local, in the virtual environments .venvs/ (RUNNER=docker: in containers)",
}


def write_state(plan: Plan, goals: Iterable[str], path: Path) -> None:
    """Write what the steps of this run need to know.

    The state has the products to make, the seconds in their earlier records, the seconds that the
    settings of the source expect, and the seconds of every record next to the expected ones.
    """
    todo = outdated(plan.wanted(goals))
    report = plan.products[-1]
    recorded = {product.path: recorded_seconds(product.path) for product in plan.products}
    expected = {product.path: expected_seconds(plan, product) for product in plan.products}
    content = {
        "start": time.time(),
        "todo": [product.path for product in todo],
        "recorded": {p.path: recorded[p.path] for p in todo if recorded[p.path]},
        "expected": {p.path: expected[p.path] for p in todo if expected[p.path]},
        "pairs": {p: (recorded[p], expected[p]) for p in recorded if recorded[p] and expected[p]},
        "runner": plan.runner,
        "refresh": report in todo and len(todo) > 1,
        "report": report.path,
        "shown": list(report.inputs),
        "start_report": plan.start(report),
        "report_flags": list(plan.settings.flags.get("report", ())),
    }
    started_file(path).unlink(missing_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(content))
    draft.replace(path)


def outdated(products: Sequence[Product]) -> list[Product]:
    """The products that make will make: missing, older than an input, or made from such a one."""
    todo: dict[str, Product] = {}
    for product in products:
        record = Path(product.record)
        age = record.stat().st_mtime if record.exists() and Path(product.path).exists() else 0.0
        inputs = [Path(f"{path}.run.json") for path in product.inputs]
        inputs += [Path(path) for path in product.raw]
        newer = any(path.exists() and path.stat().st_mtime > age for path in inputs)
        if not age or newer or any(path in todo for path in product.inputs):
            todo[product.path] = product
    return list(todo.values())


def expected_seconds(plan: Plan, product: Product) -> float | None:
    """Seconds of a product on the machine of the source's settings, None where they have none."""
    return plan.settings.seconds.get(product.path.removeprefix(plan.settings.data + "/"))


def recorded_seconds(path: str) -> float | None:
    """Seconds in the record of a product, None without one."""
    try:
        return float(documents.read_json(Path(f"{path}.run.json"))["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def describe(state: dict[str, Any], number: int, finished: Iterable[str]) -> str:
    """Text such as "product 7 of 19, about 4 min left".

    A product that was made before is expected to take as long again. Any other one takes the
    expected seconds of the source times the pace of this machine: recorded by expected seconds.

    Args:
        state: as `write_state` wrote it.
        number: of the product that is made now.
        finished: products that this run has made.
    """
    finished, todo = set(finished), state["todo"]
    text = f"product {number} of {len(todo)}"
    pairs = {path: tuple(pair) for path, pair in state["pairs"].items()}
    for path in finished & state["expected"].keys():
        if took := recorded_seconds(path):
            pairs[path] = (took, state["expected"][path])
    total = sum(expected for _, expected in pairs.values())
    pace = sum(took for took, _ in pairs.values()) / total if total else 1.0
    scaled = {path: pace * expected for path, expected in state["expected"].items()}
    seconds = {**scaled, **state["recorded"]}
    rest = [path for path in todo if path not in finished]
    if not seconds.keys() >= set(rest):
        return text
    return f"{text}, {in_words(sum(seconds[path] for path in rest))} left"


def in_words(seconds: float) -> str:
    """Text such as "about 40 s" or "about 4 min"."""
    return f"about {seconds / 60:.0f} min" if seconds >= 90 else f"about {max(1, seconds):.0f} s"


def finished_products(state: dict[str, Any]) -> list[str]:
    """Products of this run whose record is younger than its start."""
    records = {path: Path(f"{path}.run.json") for path in state["todo"]}
    return [p for p, r in records.items() if r.exists() and r.stat().st_mtime >= state["start"]]


def started_file(state_file: Path) -> Path:
    """Where the steps of a run write what they start, one path per line."""
    return state_file.with_suffix(".started")


def count_start(state_file: Path, path: str) -> int:
    """The number of a product among those that this run started; with `make -j` two may start."""
    with started_file(state_file).open("a") as file:
        file.write(f"{path}\n")
    started = dict.fromkeys(started_file(state_file).read_text().splitlines())
    return list(started).index(path) + 1


def step(state_file: Path, product: tuple[str, str], command: Sequence[str]) -> None:
    """Print which product this is, first of all also where stages run, and become the command.

    Args:
        state_file: as `write_state` wrote it.
        product: its stage and its path.
        command: words of the command.

    Raises:
        StageError: there is no such command, or no image of the stage.
    """
    stage, path = product
    progress = ""
    with contextlib.suppress(OSError, ValueError, KeyError):  # without a state: no progress
        state = documents.read_json(state_file)
        if path in state["todo"]:
            number = count_start(state_file, path)
            progress = describe(state, number, finished_products(state))
            if number == 1 and state.get("runner"):
                print(RUNS[state["runner"]], file=sys.stderr)
    line = f"== {progress}{': ' if progress else ''}{stage} -> {path}"
    print(terminal.escape(line), file=sys.stderr)
    become(command, {VARIABLE: progress})


def explain_end(code: int, stage: str) -> int:
    """Say what an exit code means that no stage gives by itself; the same code.

    Args:
        code: 137 when the process was killed (128 and SIGKILL's 9).
        stage: that ended with it.
    """
    if code == 128 + signal.SIGKILL:
        memory = "mostly because memory ran out"
        print(
            f"{stage}: ended with exit code {code}: the system killed it, {memory}; the same "
            f"command goes on where it stopped. See 'Memory' in docs/machines.md",
            file=sys.stderr,
        )  # fmt: skip
    return code


def become(command: Sequence[str], variables: Mapping[str, str] | None = None) -> NoReturn:
    """Replace this process by a command; the words of a container are made ready first.

    Args:
        command: its words.
        variables: besides those of the environment.

    Raises:
        StageError: there is no such command, or no image of the stage.
    """
    words, environment = containers.prepare(command, {**os.environ, **(variables or {})})
    sys.stderr.flush()
    try:
        os.execvpe(words[0], words, environment)
    except OSError as error:
        raise StageError(f"{words[0]}: cannot be run ({error.strerror})") from error
