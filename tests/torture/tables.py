"""What came of the cases, as lines of a table: for `make torture` and the summary of pytest."""

from collections.abc import Mapping

from tests.torture.campaign import GOOD, Result

WORDS = (*GOOD, "traceback", "crash", "hang", "memory", "outside", "executed")
SHOWN: list[str] = []  # lines that pytest prints at its end


def head(title: str) -> str:
    """The names of the columns."""
    columns = "".join(f"{word:>10}" for word in WORDS)
    return f"{title:20}{columns}{'ms each':>9}{'slowest':>9}{'MiB more':>9}"


def line(name: str, result: Result) -> str:
    """One reader, or several together."""
    counts = "".join(f"{result.outcomes[word]:10}" for word in WORDS)
    each = 1000 * result.seconds / max(1, result.outcomes.total())
    return f"{name:20}{counts}{each:9.1f}{result.slowest:8.2f}s{result.bytes >> 20:9}"


def total(results: Mapping[str, Result]) -> Result:
    """All readers together."""
    whole = Result()
    for result in results.values():
        whole.outcomes += result.outcomes
        whole.bad += result.bad
        whole.seconds += result.seconds
        whole.slowest = max(whole.slowest, result.slowest)
        whole.bytes = max(whole.bytes, result.bytes)
    return whole


def join(results: dict[str, Result], name: str, result: Result) -> None:
    """Add cases to those of their reader."""
    results[name] = total({"before": results.get(name, Result()), "now": result})


def describe_bad(result: Result) -> list[str]:
    """The cases that should not have ended as they did."""
    lines = []
    for case in result.bad:
        said = "\n    ".join(str(case["said"]).splitlines()[-12:])
        lines.append(f"  {case['reader']}, seed {case['seed']}: {case['outcome']}\n    {said}")
    return lines
