"""Tables for papers, for the package booktabs."""

SIGNS = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
         "°": r"\textdegree{}", "∞": r"$\infty$", "–": "--"} | {
         sign: "\\" + sign for sign in "&%$#_{}"}  # fmt: skip
Rows = list[tuple[str, list[str]]]  # each with its name and its cells


def escape(text: str) -> str:
    """Text with what LaTeX would take for a command written as itself."""
    return "".join(SIGNS.get(sign, sign) for sign in text)


def tabulate(heads: list[str], groups: list[tuple[str, Rows]]) -> str:
    """A table whose first column has the names of the rows.

    Args:
        heads: of the other columns.
        groups: rows below each other between two lines; above them a text of LaTeX, or none.
    """
    head = " & ".join(["", *map(escape, heads)]) + r" \\"
    body = "\n\\midrule\n".join(_write_group(*group, len(heads)) for group in groups)
    return (
        f"\\begin{{tabular}}{{l{'r' * len(heads)}}}\n\\toprule\n{head}\n\\midrule\n"
        f"{body}\n\\bottomrule\n\\end{{tabular}}\n"
    )


def _write_group(title: str, rows: Rows, columns: int) -> str:
    lines = [f"\\multicolumn{{{columns + 1}}}{{l}}{{{title}}} \\\\"] if title else []
    lines += [" & ".join(map(escape, (name, *cells))) + r" \\" for name, cells in rows]
    return "\n".join(lines)
