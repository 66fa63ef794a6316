"""What the tests of damaged input counted, printed at the end of pytest's run."""

import pytest

from tests.torture import tables


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of readers and outcomes, if any of these tests ran."""
    if tables.SHOWN:
        terminalreporter.section("damaged and hostile input")
        terminalreporter.write_line(tables.head("reader"))
        for line in tables.SHOWN:
            terminalreporter.write_line(line)
