"""The commands by which make uses the pipeline.

    python3 -m shared.pipeline rules --source demo --runner local --goals all
    python3 -m shared.pipeline plan --source demo
    python3 -m shared.pipeline suggest tacher
    python3 -m shared.pipeline image tda teacher
    python3 -m shared.pipeline run docker compose run --rm -T merge --src …

`rules` prints the file that make includes, or "ERROR" and what is wrong, as make shows it; `image`
builds what is missing or was built from other files; `run` starts a stage in its container.
"""

import argparse
import difflib
import hashlib
import os
import re
import signal
import sys
from functools import partial
from pathlib import Path

from shared import terminal
from shared.errors import StageError
from shared.pipeline import cluster, containers, early_report, remaining, rules
from shared.pipeline import plan as plans
from shared.pipeline.reading import read_settings

WORK = Path(".make")  # generated rules and the state of a run


def main(argv: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if words[:1] == ["step"]:  # step STATE STAGE PATH -- COMMAND
            remaining.step(Path(words[1]), (words[2], words[3]), words[5:])
        if words[:1] == ["run"]:
            remaining.become(words[1:])
        if words[:1] == ["ended"]:  # ended CODE STAGE
            return remaining.explain_end(int(words[1]), words[2])
        arguments = _parser().parse_args(words)
        if arguments.command == "refresh":
            early_report.refresh(arguments.state)
        elif arguments.command == "image":
            containers.ensure_images(arguments.stages)
        elif arguments.command == "suggest":
            print(terminal.escape(suggest(arguments.name)), file=sys.stderr)
            return 2
        elif arguments.command == "plan":
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `make plan | head` ends quietly
            print(terminal.escape_lines(show_plan(arguments)))
        else:
            print(write_rules(arguments))
    except StageError as error:
        if words[0] == "rules":
            print(terminal.join_line(f"ERROR {error}"))
            return 0
        return terminal.refuse(error)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="shared.pipeline", description="The pipeline as data.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("rules", "plan"):
        command = commands.add_parser(name)
        command.add_argument("--source", required=True)
        command.add_argument("--runner", default="local")
        command.add_argument("--goals", default="", help="goals of make")
        command.add_argument("--set", action="append", default=[], help="NAME=VALUE of make")
    commands.choices["plan"].add_argument("--json", action="store_true")
    commands.add_parser("refresh").add_argument("state", type=Path)
    commands.add_parser("image").add_argument("stages", nargs="*")
    commands.add_parser("suggest").add_argument("name")
    return parser


def _changes(arguments: argparse.Namespace) -> dict[str, str]:
    return dict(setting.split("=", 1) for setting in arguments.set)


def show_plan(arguments: argparse.Namespace) -> str:
    """What `make plan` prints: products and their commands, or the jobs of a cluster."""
    if arguments.runner == "slurm":
        return cluster.submission.show(
            *cluster.read_plan(arguments.source, _changes(arguments), [])
        )
    plan = _plan(arguments)
    return plans.as_json(plan) if arguments.json else plans.as_table(plan)


def _plan(arguments: argparse.Namespace) -> plans.Plan:
    changes = _changes(arguments)
    if arguments.runner == "slurm":
        return cluster.read_plan(arguments.source, changes, arguments.goals.split())[0]
    settings = read_settings(arguments.source, changes)
    if arguments.runner == "docker":
        containers.check_folders(settings.data, changes.get("DATA", ""), Path.cwd())
    return plans.build(settings, arguments.runner, arguments.goals.split())


def write_rules(arguments: argparse.Namespace) -> Path:
    """Write the rules and the state of this run, and return the path of the rules.

    Two makes with other settings or goals have other files, so that neither changes the rules or
    the progress of the other.
    """
    goals = arguments.goals.split()
    words = [arguments.runner, *sorted(arguments.set), *goals]
    key = hashlib.sha256("\0".join(words).encode(errors="surrogateescape")).hexdigest()[:8]
    WORK.mkdir(exist_ok=True)
    path, state = (WORK / f"{arguments.source}-{key}.{ending}" for ending in ("mk", "json"))
    plan = _plan(arguments)
    if arguments.runner == "slurm":
        node_runner = _changes(arguments).get("NODE_RUNNER", "local")
        needed = partial(cluster.needed_file, runner=node_runner)
        text = rules.write_submissions(plan, goals, stages(), needed)
    else:
        text = rules.write(plan, state, stages())
    if not path.exists() or path.read_text() != text:
        draft = path.with_suffix(f".mk-{os.getpid()}")
        draft.write_text(text)
        draft.replace(path)
    if goals:
        remaining.write_state(plan, goals, state)
    return path


def stages() -> list[str]:
    """Every stage of this checkout."""
    return sorted(path.parent.name.replace("_", "-") for path in Path("stages").glob("*/main.py"))


def suggest(name: str) -> str:
    """Answer a goal that make does not know with the nearest ones."""
    if "/" in name:
        return f"{name}: no such file, and nothing makes it; `make plan` lists the products"
    texts = [path.read_text() for path in (Path("Makefile"), *Path("images").glob("*.mk"))]
    known = {verb for text in texts for verb in re.findall(r"^([a-z][\w-]*):(?!=)", text, re.M)}
    known |= {*stages(), *plans.VERBS}
    for start in ("clean-", "rerun-"):
        if name.startswith(start):
            known = {start + stage for stage in stages()}
    near = difflib.get_close_matches(name, sorted(known), 3, 0.5)
    hint = f"did you mean {' or '.join(f'`make {verb}`' for verb in near)}? " if near else ""
    return f"make {name}: no such verb; {hint}`make help` lists them"


if __name__ == "__main__":
    sys.exit(main())
