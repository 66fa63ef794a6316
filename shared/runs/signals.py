"""Ctrl-C and SIGTERM end a run in one way, also where a library inside swallows them."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

STOPS = (signal.SIGINT, signal.SIGTERM)
AGAIN = 0.05  # seconds until a signal that was lost is sent again


@contextlib.contextmanager
def stop_on_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt(128 + number) for SIGINT and SIGTERM.

    A trainer library may answer the exception by exiting on its own terms, or by returning as if it
    were done. Its output is then not a complete product: the exception is raised again at the end.
    A signal that arrives where Python can raise nothing, such as in a callback of a weak reference,
    is sent again a moment later: otherwise the run would go on for hours.
    """
    caught: list[int] = []
    timers: list[threading.Timer] = []

    def stop(number: int, _: object) -> None:
        caught.append(128 + number)
        raise KeyboardInterrupt(128 + number)

    def send_again(lost: Any) -> None:
        if not caught or not isinstance(lost.exc_value, KeyboardInterrupt):
            report(lost)
            return
        timers.append(threading.Timer(AGAIN, os.kill, (os.getpid(), caught[-1] - 128)))
        timers[-1].start()

    report, sys.unraisablehook = sys.unraisablehook, send_again
    before = [(number, signal.signal(number, stop)) for number in STOPS]
    try:
        yield
    except (Exception, SystemExit) as error:
        if not caught or isinstance(error.__cause__, KeyboardInterrupt):  # which explains the stop
            raise
    finally:
        for timer in timers:
            timer.cancel()
            timer.join()
        for number, handler in before:
            signal.signal(number, handler)
        sys.unraisablehook = report
    if caught:
        raise KeyboardInterrupt(caught[0])
