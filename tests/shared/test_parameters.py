"""Declared parameters: groups, choices and ranges, and how `--help` shows them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest

from shared import cli
from shared.cli import help_text
from shared.cli.arguments import collect
from shared.cli.parameters import Parameter
from shared.errors import StageError


@dataclass(frozen=True)
class Schedule:
    """How the learning rate changes.

    Attributes:
        epochs: passes over the training rows.
        decay: how the rate falls;
            resize: is not a parameter of its own.
        rates: one or more rates.
        start: weights to begin with.
    """

    epochs: Annotated[int, cli.at_least(1)] = 12
    decay: Literal["cosine", "constant"] = "constant"
    rates: Annotated[tuple[float, ...], cli.more_than(0)] = (0.1,)
    start: Path | None = None


@dataclass(frozen=True)
class Other:
    """Declares a flag that `Schedule` has too.

    Attributes:
        epochs: again.
    """

    epochs: int = 1


CALLS: list[tuple[int, Schedule]] = []


def run(
    *,
    src: Path,  # noqa: ARG001
    dst: Path,
    scale: Annotated[int, cli.between(2, 4)] = 2,
    share: Annotated[float, cli.between(0, 1, below=True)] = 0.5,  # noqa: ARG001
    factor: Literal[2, 3] = 2,  # noqa: ARG001
    schedule: Schedule = Schedule(),
) -> None:
    """Train something.

    Args:
        src: patch file.
        dst: file to write.
        scale: factor on height and width.
        share: of the rows.
        factor: a number of which two are possible.
    """
    CALLS.append((scale, schedule))
    dst.write_text("done")


def values(*flags: str) -> dict[str, object]:
    return collect(run, ["--src=a", "--dst=b", *flags])


def test_fields_of_a_group_are_flat_flags() -> None:
    assert values("--epochs=3", "--decay", "cosine", "--rates=0.1,0.2") == {
        "src": Path("a"),
        "dst": Path("b"),
        "scale": 2,
        "share": 0.5,
        "factor": 2,
        "epochs": 3,
        "decay": "cosine",
        "rates": (0.1, 0.2),
        "start": None,
    }


def test_groups_reach_the_stage_and_the_plan_is_flat(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "w").touch()
    flags = values("--epochs=3", f"--start={tmp_path / 'w'}")
    flags |= {"src": tmp_path / "a", "dst": tmp_path / "b"}
    cli.produce(run, flags)
    assert CALLS[-1] == (2, Schedule(epochs=3, start=tmp_path / "w"))
    job = cli.read_signature(run).job(flags)
    assert set(job.inputs) == {"src", "start"}
    assert set(job.parameters) == {"scale", "share", "factor", "epochs", "decay", "rates"}
    assert job.default_parameters["epochs"] == 12


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--scale=9", "--scale: expected 2 to 4, found 9"),
        ("--scale=1", "--scale: expected 2 to 4, found 1"),
        ("--share=1", "--share: expected 0 to below 1, found 1.0"),
        ("--share=-0.5", "--share: expected 0 to below 1, found -0.5"),
        ("--epochs=0", "--epochs: expected at least 1, found 0"),
        ("--decay=linear", "--decay: expected cosine or constant, found 'linear'"),
        ("--factor=4", "--factor: expected 2 or 3, found 4"),
        ("--factor=x", "--factor: expected 2 or 3, found 'x'"),
        ("--rates=0.1,0", "--rates: expected above 0 or several, separated by commas, found 0.0"),
    ],
)
def test_refuses_by_declaration(flag: str, message: str) -> None:
    with pytest.raises(StageError) as refused:
        values(flag)
    assert str(refused.value) == message


@pytest.mark.parametrize("flag", ["--scale=2", "--scale=4", "--share=0", "--epochs=1"])
def test_limits_are_inclusive(flag: str) -> None:
    values(flag)


@pytest.mark.parametrize("value", ["()", "[]"])
def test_a_required_list_has_at_least_one_value(value: str) -> None:
    def join(*, src: tuple[Path, ...], dst: Path, more: tuple[Path, ...] = ()) -> None: ...

    assert collect(join, ["--src=a", "--dst=b", f"--more={value}"])["more"] == ()
    with pytest.raises(StageError) as refused:
        collect(join, [f"--src={value}", "--dst=b"])
    expected = "--src: expected a path or several, separated by commas, found none"
    assert str(refused.value) == expected


def test_a_flag_declared_twice_is_a_bug() -> None:
    def twice(*, dst: Path, one: Schedule, two: Other) -> None: ...

    with pytest.raises(TypeError, match="declared twice: epochs"):
        cli.read_signature(twice)


def test_a_type_that_no_command_line_gives_is_a_bug() -> None:
    def odd(*, dst: Path, table: dict[str, int]) -> None: ...

    with pytest.raises(TypeError, match="table: dict"):
        cli.read_signature(odd)


def test_help_is_grouped_and_complete() -> None:
    text = help_text.render(cli.read_signature(run), 60)
    assert text.startswith("Usage: shared --src PATH --dst PATH [flags]\n\nTrain something.\n")
    assert (
        "How the learning rate changes.\n"
        "  --epochs N (whole number, at least 1; default: 12)\n"
        "      passes over the training rows.\n"
        "  --decay TEXT (one of cosine, constant; default: constant)\n"
        "      how the rate falls; resize: is not a parameter of its\n"
        "      own.\n"
        "  --rates X,X,… (number, above 0, or several separated by\n"
        "      commas; default: 0.1)\n"
    ) in text
    assert "  --share X (number, 0 to below 1; default: 0.5)\n" in text
    assert max(map(len, text.splitlines())) <= 60


def wrapped(width: int, text: str, flag: str = "a") -> list[str]:
    """The lines of one flag in the help."""
    parameter = Parameter(flag, bool, default=True, text=text)
    signature = cli.Signature(run, "stage", "Do it.", (parameter,), {})
    lines = help_text.render(signature, width).splitlines()
    start = lines.index("Optional:") + 1
    return lines[start : lines.index("", start)]


def test_lines_of_help_are_filled_to_the_last_column() -> None:
    """A word that ends at the last column stays in its line; the next one does not."""
    head = "  --a (switch; default: on)"
    text = "two words"
    assert wrapped(len(head), text) == [head, "      two words"]
    assert wrapped(len(head) - 1, text) == [head[:-4], "      on)", "      two words"]
    long = "x" * 30
    assert wrapped(6 + 30 + 2, f"{long} y") == [head, f"      {long} y"]
    assert wrapped(6 + 30 + 1, f"{long} y") == [head, f"      {long}", "      y"]


def test_help_is_as_wide_as_the_terminal_and_no_wider_than_a_hundred_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signature = cli.Signature(run, "stage", " ".join(["word"] * 60), (), {})
    for columns, widest in ((60, 59), (100, 99), (200, 99)):
        monkeypatch.setenv("COLUMNS", str(columns))
        lines = help_text.render(signature).splitlines()
        assert max(len(line) for line in lines if line.startswith("word ")) == widest
