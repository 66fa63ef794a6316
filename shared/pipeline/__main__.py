"""What make asks the pipeline for.

    python3 -m shared.pipeline rules --source demo --runner local --goals all
    python3 -m shared.pipeline plan --source demo
    python3 -m shared.pipeline suggest tacher

`rules` prints the file that make includes, or "ERROR" and what is wrong, as make shows it.
"""

import argparse
import difflib
import hashlib
import re
import signal
import sys
from pathlib import Path

from shared.errors import StageError
from shared.pipeline import plan as plans
from shared.pipeline import remaining, rules
from shared.pipeline.settings import read_settings

WORK = Path(".make")  # generated rules and the state of a run


def main(argv: list[str] | None = None) -> int:
    """Exit code of the command line."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["step"]:
        remaining.step(Path(words[1]), words[2], words[4:])
    given = _parser().parse_args(words)
    try:
        if given.command == "refresh":
            remaining.refresh(given.state)
        elif given.command == "suggest":
            print(suggest(given.name), file=sys.stderr)
            return 2
        elif given.command == "plan":
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `make plan | head` ends quietly
            plan = _plan(given)
            print(plans.as_json(plan) if given.json else plans.as_table(plan))
        else:
            print(write_rules(given))
    except StageError as error:
        if given.command == "rules":
            print(f"ERROR {error}")
            return 0
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="shared.pipeline", description="The pipeline as data.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("rules", "plan"):
        one = commands.add_parser(name)
        one.add_argument("--source", required=True)
        one.add_argument("--runner", default="local")
        one.add_argument("--goals", default="", help="goals of make")
        one.add_argument("--set", action="append", default=[], help="NAME=VALUE of make")
    commands.choices["plan"].add_argument("--json", action="store_true")
    commands.add_parser("refresh").add_argument("state", type=Path)
    commands.add_parser("suggest").add_argument("name")
    return parser


def _plan(given: argparse.Namespace) -> plans.Plan:
    changes = dict(setting.split("=", 1) for setting in given.set)
    return plans.build(read_settings(given.source, changes), given.runner, given.goals.split())


def write_rules(given: argparse.Namespace) -> Path:
    """Write the rules and the state of this run; the rules' path.

    Two makes with other settings have other files.
    """
    goals = given.goals.split()
    key = hashlib.sha256("\0".join([given.runner, *sorted(given.set)]).encode()).hexdigest()[:8]
    WORK.mkdir(exist_ok=True)
    path, state = (WORK / f"{given.source}-{key}.{end}" for end in ("mk", "json"))
    plan = _plan(given)
    text = rules.write(plan, state, stages())
    if not path.exists() or path.read_text() != text:
        draft = path.with_suffix(f".{plan.runner}-draft")
        draft.write_text(text)
        draft.replace(path)
    if goals:
        remaining.write_state(plan, goals, state)
    return path


def stages() -> list[str]:
    """Every stage of this checkout."""
    return sorted(path.parent.name.replace("_", "-") for path in Path("stages").glob("*/main.py"))


def suggest(name: str) -> str:
    """What to say about a goal that make does not know."""
    if "/" in name:
        return f"{name}: no such file, and nothing makes it; `make plan` lists the products"
    texts = [path.read_text() for path in (Path("Makefile"), *Path("images").glob("*.mk"))]
    known = {verb for text in texts for verb in re.findall(r"^([a-z][\w-]*):(?!=)", text, re.M)}
    known |= {*stages(), *plans.VERBS}
    near = difflib.get_close_matches(name, sorted(known), 3, 0.5)
    hint = f"did you mean {' or '.join(f'`make {verb}`' for verb in near)}? " if near else ""
    return f"make {name}: no such verb; {hint}`make help` lists them"


if __name__ == "__main__":
    sys.exit(main())
