"""Run pytest again and again, in forks of one process that has imported the packages already.

Started by tests/mutation/trial.py with the Python of an environment, in a copy of the checkout. The
first line that it reads lists the modules to import; each further one is a run: words for pytest,
variables and a limit in seconds. It answers each with pytest's exit code, or -1 out of time.
"""

import contextlib
import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]


def answer(words: list[str], variables: dict[str, str], limit: float) -> int:
    """The exit code of one run; whatever it started is ended with it."""
    child = os.fork()
    if not child:
        _run(words, variables)
    end = time.monotonic() + limit
    done, status = os.waitpid(child, os.WNOHANG)
    while not done and time.monotonic() < end:
        time.sleep(0.01)
        done, status = os.waitpid(child, os.WNOHANG)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, 9)
    if not done:
        os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if done else -1


def _run(words: list[str], variables: dict[str, str]) -> NoReturn:
    code = 3
    try:
        os.setsid()
        os.environ.update(variables)
        import pytest

        code = int(pytest.main(words))
    finally:
        os._exit(code)


def serve() -> None:
    """Answer until the input ends."""
    sys.path[0] = str(ROOT)  # was this folder
    sys.path.append(str(ROOT / ".venvs" / "pytest"))  # behind what the environment holds
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):  # what tests print is no answer
        os.dup2(nothing, number)
    for name in json.loads(requests.readline()):
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    for line in requests:
        print(answer(**json.loads(line)), file=answers, flush=True)


if __name__ == "__main__":
    serve()
