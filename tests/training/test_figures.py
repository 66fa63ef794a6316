"""What confusion matrices and training curves show: numbers, names, colours, the epoch kept."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from shared.models import figures

MATRIX = np.array([[5, 4, 0], [0, 1200, 0], [0, 10_000, 9_999]])
CLASSES = ("a", "b $x$", "c")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Draws and gives the figure before it is closed."""
    kept: list[Figure] = []
    monkeypatch.setattr(figures.plt, "close", kept.append)

    def draw(function: Any, *given: Any) -> Figure:
        function(tmp_path / "a.png", *given)
        assert (tmp_path / "a.png").stat().st_size > 1000
        figure = kept.pop()
        figure.canvas.draw()
        return figure

    return draw


def ticks(axis: Any) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def test_a_confusion_matrix(drawn: Any) -> None:
    """Counts by row and column, shares as shades, recall, rows and precision at the sides."""
    figure = drawn(figures.confusion, MATRIX, CLASSES)
    axes = figure.axes[0]
    counts = {text.get_position()[::-1]: text.get_text() for text in axes.texts}
    assert counts == {(0, 0): "5", (0, 1): "4", (1, 1): "1200", (2, 1): "10000", (2, 2): "9999"}
    np.testing.assert_allclose(
        axes.images[0].get_array(),
        100 * np.array([[5 / 9, 4 / 9, 0], [0, 1, 0], [0, 10_000 / 19_999, 9_999 / 19_999]]),
    )
    assert axes.images[0].get_clim() == (0, 100)
    colours = {text.get_text(): text.get_color() for text in axes.texts}
    assert colours == {
        "5": "white", "4": "black", "1200": "white", "10000": "black", "9999": "black",
    }  # fmt: skip
    sizes = {text.get_text(): text.get_fontsize() for text in axes.texts}
    assert (sizes["5"], sizes["1200"], sizes["9999"], sizes["10000"]) == (8, 7, 7, 6)
    assert ticks(axes.yaxis) == list(CLASSES)
    assert ticks(axes.xaxis) == ["100", "11", "100"]
    above, right = axes.child_axes
    assert ticks(above.xaxis) == list(CLASSES)
    assert ticks(right.yaxis) == ["56 % of 9", "100 % of 1200", "50 % of 19999"]
    names = [axes.get_xlabel(), axes.get_ylabel(), above.get_xlabel(), right.get_ylabel()]
    assert names == [
        "precision of the predicted class, %", "true class", "predicted class",
        "recall of the true class",
    ]  # fmt: skip
    assert figure.axes[1].get_ylabel() == "% of the true class"
    edges = list(axes.get_xticks(minor=True))
    assert edges == [-0.5, 0.5, 1.5, 2.5] == list(axes.get_yticks(minor=True))


def test_a_shade_of_55_percent_still_has_black_figures(drawn: Any) -> None:
    texts = drawn(figures.confusion, np.array([[11, 9], [56, 44]]), ("a", "b")).axes[0].texts
    assert [text.get_color() for text in texts] == ["black", "black", "white", "black"]


def test_classes_without_rows_have_dashes(drawn: Any) -> None:
    axes = drawn(figures.confusion, np.array([[0, 0], [0, 3]]), ("a", "b")).axes[0]
    assert ticks(axes.xaxis) == ["–", "100"]
    assert ticks(axes.child_axes[1].yaxis) == ["– % of 0", "100 % of 3"]


def lines(axes: Any) -> list[tuple[list[float], list[float], str, str, str]]:
    return [
        (
            list(line.get_xdata()), list(line.get_ydata()), line.get_linestyle(),
            line.get_marker(), to_hex(line.get_color()),
        )
        for line in axes.get_lines()
    ]  # fmt: skip


BLUE, ORANGE = "#1f77b4", "#ff7f0e"
SERIES = {
    "train loss": {"one": [3.0, 2.0, 1.0], "two": [4.0, 3.0]},
    "validation loss": {"one": [3.5, 2.5, 2.75]},
    "train accuracy": {"one": [0.1, 0.2, 0.3]},
}


def test_curves_of_two_networks(drawn: Any) -> None:
    """A panel a measure, a colour a network, validation dashed, the ring on its line."""
    figure = drawn(figures.curves, SERIES, {"one": 2})
    loss, accuracy = figure.axes
    assert lines(loss) == [
        ([1, 2, 3], [3, 2, 1], "-", ".", BLUE),
        ([1, 2], [4, 3], "-", ".", ORANGE),
        ([1, 2, 3], [3.5, 2.5, 2.75], "--", ".", BLUE),
        ([2], [2.5], "None", "o", BLUE),
    ]
    assert lines(accuracy) == [
        ([1, 2, 3], [0.1, 0.2, 0.3], "-", ".", BLUE), ([2], [0.2], "None", "o", BLUE),
    ]  # fmt: skip
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_xlim()) == (
            "epoch",
            name,
            (0.5, 3.5),
        )
        assert [tick for tick in axes.get_xticks() if 1 <= tick <= 3] == [1, 2, 3]
        assert not axes.spines["top"].get_visible()
        assert axes.spines["left"].get_visible()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "train", "validation", "epoch kept", "one", "two",
    ]  # fmt: skip
    styles = [line.get_linestyle() for line in legend.get_lines()]
    assert styles == ["-", "--", "None", "-", "-"]
    colours = [to_hex(line.get_color()) for line in legend.get_lines()]
    assert colours == ["#5b6675"] * 3 + [BLUE, ORANGE]


@pytest.mark.parametrize("epochs", [1, 2, 4])
def test_epochs_are_whole_numbers(drawn: Any, epochs: int) -> None:
    axes = drawn(figures.curves, {"train loss": {"one": [1.0] * epochs}}).axes[0]
    seen = [tick for tick in axes.get_xticks() if 0.5 <= tick <= epochs + 0.5]
    assert seen == list(range(1, epochs + 1))


def test_epochs_that_were_not_trained_have_no_ring(drawn: Any) -> None:
    for best, count in ((0, 1), (1, 2), (3, 2), (4, 1)):
        figure = drawn(figures.curves, {"train loss": {"one": [3.0, 2.0, 1.0]}}, {"one": best})
        assert len(figure.axes[0].get_lines()) == count, best


def test_one_network_without_epochs_kept_needs_few_words(drawn: Any) -> None:
    figure = drawn(figures.curves, {"train loss": {"one": [3.0, 2.0]}})
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["train"]
    assert not drawn(figures.curves, {"loss": {"one": [3.0]}}).legends
    widths = [
        drawn(figures.curves, {"loss": {name: [1.0] for name in names}}).get_size_inches()[0]
        for names in (["one"], ["one", "two"])
    ]
    assert widths == [pytest.approx(5.2), pytest.approx(6.4)]
    panels = {"train loss": {"one": [1.0]}, "train accuracy": {"one": [0.5]}}
    assert list(drawn(figures.curves, panels).get_size_inches()) == [pytest.approx(10), 3.6]


def test_many_networks_and_many_epochs(drawn: Any) -> None:
    """Up to 40 epochs with dots, 12 networks by name, 10 with colours that differ well."""
    for epochs, marker in ((40, "."), (41, "")):
        figure = drawn(figures.curves, {"train loss": {"one": [1.0] * epochs}})
        assert figure.axes[0].get_lines()[0].get_marker() in (marker, marker or "None")
    for count, named in ((12, 13), (13, 1)):
        networks = {str(number): [1.0] for number in range(count)}
        figure = drawn(figures.curves, {"train loss": networks})
        assert len(figure.legends[0].get_texts()) == named
    ten, eleven = figures._colours(10), figures._colours(11)
    assert to_hex(ten[0]) == BLUE
    assert len({*ten}) == 10
    assert len({*eleven}) == 11
    assert to_hex(eleven[0]) != BLUE
