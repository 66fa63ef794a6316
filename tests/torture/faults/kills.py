"""SIGKILL and SIGTERM at random moments."""

import os
import random
import signal

from tests.torture.faults.lab import PRODUCT, Lab, expect, moment

TOLD = "stopped; the same command continues from here"
MOST = 3  # times that one product is interrupted


def _kill(lab: Lab, rng: random.Random, number: int) -> str:
    dst = lab.folder / PRODUCT
    hit = False
    for _ in range(rng.randint(1, MOST)):
        pid = lab.start(dst)
        if not lab.stage.ended(moment(lab, rng)):
            os.kill(pid, number)
        status, said = lab.end()
        expected = {0, -number, 128 + number if number == signal.SIGTERM else 0}
        expect(status in expected, f"status {status} after signal {number}", said)
        if status == 128 + number:
            expect(
                "stopped; the same command continues from here" in said.splitlines(),
                "not told",
                said,
            )
        hit |= status != 0
    again = lab.recover(dst)
    return "recovered" if hit else again


def kill(lab: Lab, rng: random.Random) -> str:
    """The process is gone at once, as after `kill -9`, or with its machine."""
    return _kill(lab, rng, signal.SIGKILL)


def stop(lab: Lab, rng: random.Random) -> str:
    """The process is asked to end, as by `kill`, `docker stop`, Slurm and Kubernetes."""
    return _kill(lab, rng, signal.SIGTERM)


KINDS = {"SIGKILL": kill, "SIGTERM": stop}
