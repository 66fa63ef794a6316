"""Ctrl-C and SIGTERM end a run in one way, also where a library inside swallows them."""

import contextlib
import signal
from collections.abc import Iterator

STOPS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt(128 + number) for SIGINT and SIGTERM.

    A trainer library may answer the exception by exiting on its own terms, or by returning as if it
    were done. Its output is then not a complete product: the exception is raised again at the end.
    """
    caught: list[int] = []

    def stop(number: int, _: object) -> None:
        caught.append(128 + number)
        raise KeyboardInterrupt(128 + number)

    before = [(number, signal.signal(number, stop)) for number in STOPS]
    try:
        yield
    except (Exception, SystemExit):
        if not caught:
            raise
    finally:
        for number, handler in before:
            signal.signal(number, handler)
    if caught:
        raise KeyboardInterrupt(caught[0])
