"""How much of a run of make is left, and a first report page while it goes on.

When make reads its rules, the products that it is going to make are written to a state file. Each
step then counts those that are made and estimates the time of the rest.
"""

import contextlib
import fcntl
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from shared.pipeline.plan import Plan
from shared.pipeline.product import Product

SHOWN = "STAGE_PROGRESS"  # read by shared.progress; changes nothing but what a bar shows


def write_state(plan: Plan, goals: Iterable[str], path: Path) -> None:
    """Write what the steps of this run need to know."""
    todo = outdated(plan.wanted(goals))
    report = plan.products[-1]
    content = {
        "start": time.time(),
        "todo": [product.path for product in todo],
        "seconds": {p.path: expected_seconds(plan, p) for p in todo},
        "refresh": report in todo and len(todo) > 1,
        "report": report.path,
        "shown": list(report.inputs),
        "command": f"{plan.start(report)} --dst {shlex.quote(report.path)}",
    }
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(content))
    draft.replace(path)


def outdated(products: Sequence[Product]) -> list[Product]:
    """The products that make will make: missing, older than an input, or made of such a one."""
    todo: dict[str, Product] = {}
    for product in products:
        record = Path(product.record)
        age = record.stat().st_mtime if record.exists() and Path(product.path).exists() else 0.0
        inputs = [Path(f"{path}.run.json") for path in product.inputs]
        newer = any(path.exists() and path.stat().st_mtime > age for path in inputs)
        if not age or newer or any(path in todo for path in product.inputs):
            todo[product.path] = product
    return list(todo.values())


def expected_seconds(plan: Plan, product: Product) -> float | None:
    """What a product is expected to take, by the settings of its source or an earlier record."""
    name = product.path.removeprefix(plan.settings.data + "/")
    return plan.settings.seconds.get(name) or recorded_seconds(product.path)


def recorded_seconds(path: str) -> float | None:
    """Seconds in the record of a product, None without one."""
    try:
        return float(json.loads(Path(f"{path}.run.json").read_text())["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def describe(state: dict[str, Any], path: str, made: Iterable[str]) -> str:
    """ "product 7 of 19, about 4 min left": by the pace of what is made and the size of the rest.

    Args:
        state: as `write_state` wrote it.
        path: the product that is made now.
        made: the products of this run that are made, with `recorded_seconds`.
    """
    done, todo = [p for p in made if p != path], state["todo"]
    text = f"product {min(len(done) + 1, len(todo))} of {len(todo)}"
    expected = state["seconds"]
    if any(expected.get(p) is None for p in todo if p not in done):
        return text
    pairs = [(recorded_seconds(p), expected.get(p)) for p in done]
    known = [(took, planned) for took, planned in pairs if took and planned]
    planned = sum(planned for _, planned in known)
    pace = sum(took for took, _ in known) / planned if planned > 0 else 1.0
    return f"{text}, {in_words(pace * sum(expected[p] for p in todo if p not in done))} left"


def in_words(seconds: float) -> str:
    """ "about 40 s", "about 4 min"."""
    return f"about {seconds / 60:.0f} min" if seconds >= 90 else f"about {max(1, seconds):.0f} s"


def made_since(state: dict[str, Any]) -> list[str]:
    """Products of this run whose record is younger than its start."""
    records = {path: Path(f"{path}.run.json") for path in state["todo"]}
    return [p for p, r in records.items() if r.exists() and r.stat().st_mtime >= state["start"]]


def step(state_file: Path, path: str, command: Sequence[str]) -> None:
    """Say which product this is and become the command that makes it."""
    progress = ""
    with contextlib.suppress(OSError, ValueError, KeyError):
        state = json.loads(state_file.read_text())
        if path in state["todo"]:
            progress = describe(state, path, made_since(state))
    print(f"== {progress}{': ' if progress else ''}{path}", file=sys.stderr, flush=True)
    os.execvpe(command[0], list(command), {**os.environ, SHOWN: progress})


def refresh(state_file: Path) -> None:
    """Write the report of what is made so far; the last one is made by its own rule.

    Nothing that goes wrong here ends the run: the page is only renewed later.
    """
    state = json.loads(state_file.read_text())
    page = Path(state["report"])
    shown = [path for path in state["shown"] if Path(f"{path}.run.json").exists()]
    with state_file.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return  # another product's step renews it right now
        if not state["refresh"] or not shown:
            return
        first = not page.exists()
        remove(page)
        command = [*shlex.split(state["command"]), "--src", ",".join(shown)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        Path(f"{page}.run.json").unlink(
            missing_ok=True
        )  # so that the whole report is made at the end
    if done.returncode:
        print(f"{page}: not renewed ({done.stderr.strip()[-200:]})", file=sys.stderr)
    elif first:
        print(f"report so far: {page} (renewed as products are made)", file=sys.stderr)


def remove(page: Path) -> None:
    """Take a report and what an interrupted run left of it away."""
    for path in page.parent.glob(f"{page.name}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
