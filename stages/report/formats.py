"""Values as people read them: the filters of the template."""

from typing import Any


def format_percent(share: float, digits: int = 2) -> str:
    """0.71234 to "71.23"."""
    return f"{100 * share:.{digits}f}"


def format_megabytes(count: float) -> str:
    """Bytes to MB with three figures."""
    return f"{count / 1e6:.3g}" if count < 1e9 else f"{count / 1e6:.0f}"


def format_count(value: float | None) -> str:
    """Counts to thousands (k), millions (M) or thousands of millions (G) with three figures."""
    if value is None:
        return "–"
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return str(value)


def format_points(share: float) -> str:
    """A difference of shares in points: 0.0123 to "1.23", -0.005 to one with a real minus sign."""
    return f"{100 * share:.2f}".replace("-", "\u2212")


def format_number(value: Any) -> str:
    """A plain value for people: whole numbers as they are, others with four figures."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u2009") if abs(value) >= 10_000 else str(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


FILTERS = {
    "percent": format_percent,
    "number": format_number,
    "megabytes": format_megabytes,
    "points": format_points,
    "count": format_count,
}
