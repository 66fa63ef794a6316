"""The commands by which make uses a cluster.

    python3 -m shared.pipeline.cluster submit --source demo --goals all
    python3 -m shared.pipeline.cluster status data/demo
    python3 -m shared.pipeline.cluster cancel data/demo
    python3 -m shared.pipeline.cluster kubernetes --source demo --goals all --to k8s
    python3 -m shared.pipeline.cluster task --product PATH --note FILE -- COMMAND

`task` is what runs on a node.
"""

import argparse
import os
import sys
from pathlib import Path

from shared import terminal
from shared.errors import StageError
from shared.pipeline.cluster import kubernetes, nodes, read_plan, task
from shared.pipeline.cluster.slurm import following, submission


def main(argv: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    mark = words.index("--") if "--" in words else len(words)
    arguments = _parser().parse_args(words[:mark])
    try:
        if arguments.command == "task":
            return task.run(arguments.product, arguments.note, arguments.used, words[mark + 1 :])
        if arguments.command == "status":
            _print(following.table(arguments.data))
        elif arguments.command == "cancel":
            numbers = following.cancel(arguments.data)
            _print(f"cancelled: {' '.join(numbers) or 'nothing was in the queue'}")
        else:
            _make(arguments)
    except StageError as error:
        return terminal.refuse(error)
    return 0


def _make(arguments: argparse.Namespace) -> None:
    """Submit jobs, show them, or write manifests."""
    changes = dict(setting.split("=", 1) for setting in arguments.set)
    if arguments.command == "kubernetes":
        changes["NODE_RUNNER"] = nodes.INSIDE
    goals = arguments.goals.split()
    plan, cluster = read_plan(arguments.source, changes, goals)
    if arguments.command == "kubernetes":
        for path in kubernetes.write(plan, cluster, goals, arguments.to, changes):
            _print(str(path))
        return
    if arguments.dry:
        _print(submission.show(plan, cluster, goals))
        return
    lines = submission.submit(plan, cluster, goals)
    _print("\n".join(lines) if lines else "nothing to submit")
    if arguments.wait:
        following.follow(plan, cluster, goals)


def _print(text: str) -> None:
    try:
        print(terminal.escape_lines(text), end="\n" if text else "", flush=True)
    except BrokenPipeError:  # `make -n | head` ends quietly
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="shared.pipeline.cluster", description="The pipeline on a cluster."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("submit", "kubernetes"):
        command = commands.add_parser(name)
        command.add_argument("--source", required=True)
        command.add_argument("--goals", default="", help="goals of make")
        command.add_argument("--set", action="append", default=[], help="NAME=VALUE of make")
    commands.choices["kubernetes"].add_argument("--to", type=Path, required=True)
    commands.choices["submit"].add_argument("--dry", action="store_true", help="only show the jobs")
    commands.choices["submit"].add_argument("--wait", action="store_true", help="until all is made")
    for name in ("status", "cancel"):
        commands.add_parser(name).add_argument("data", help="data folder")
    on_node = commands.add_parser("task")
    on_node.add_argument("--product", type=Path, required=True)
    on_node.add_argument("--note", type=Path, required=True)
    on_node.add_argument("--used", type=Path)
    return parser


if __name__ == "__main__":
    sys.exit(main())
