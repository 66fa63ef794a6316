"""Tables for papers."""

import pytest

from shared.comparisons import latex


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a_b & 5 %", r"a\_b \& 5 \%"),
        (r"\x^2~", r"\textbackslash{}x\textasciicircum{}2\textasciitilde{}"),
        ("∞ – 3°", r"$\infty$ -- 3\textdegree{}"),
    ],
)
def test_escape(text: str, written: str) -> None:
    assert latex.escape(text) == written


def test_a_table_has_its_groups_and_rows() -> None:
    table = latex.tabulate(
        ["dB", "%"], [("first $x$", [("a", ["1", "2"])]), ("", [("b_", ["3", "–"])])]
    )
    assert table.splitlines() == [
        r"\begin{tabular}{lrr}", r"\toprule", r" & dB & \% \\", r"\midrule",
        r"\multicolumn{3}{l}{first $x$} \\", r"a & 1 & 2 \\", r"\midrule", r"b\_ & 3 & -- \\",
        r"\bottomrule", r"\end{tabular}",
    ]  # fmt: skip
