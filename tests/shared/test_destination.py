"""What lies where a product or its helpers go: links are never replaced or written through."""

from pathlib import Path
from typing import Any

import pytest

from shared import cli
from shared.errors import StageError
from tests.shared import toy


@pytest.fixture
def values(tmp_path: Path) -> dict[str, Any]:
    """Arguments of the toy stage, its input alone in its folder."""
    (tmp_path / "in").mkdir()
    src = tmp_path / "in" / "text.txt"
    src.write_text("abc")
    return {**(toy.run.__kwdefaults__ or {}), "src": src, "dst": tmp_path / "out.txt"}


def listing(folder: Path) -> dict[str, str]:
    """Every path, with where it leads if it is a link."""
    paths = sorted(folder.rglob("*"))
    return {str(p): str(p.readlink()) if p.is_symlink() else "" for p in paths}


def refuse(values: dict[str, Any], folder: Path, message: str) -> None:
    before = listing(folder)
    with pytest.raises(StageError, match=message):
        cli.produce(toy.run, values)
    assert listing(folder) == before


@pytest.mark.parametrize("place", ["out.txt", "gone"])
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/no/such/place", "a link to /no/such/place, which does not exist; remove the link"),
        ("{place}", "a link to .*, which cannot be followed .*; remove the link"),
    ],
)
def test_dst_behind_a_broken_link(
    values: dict[str, Any], tmp_path: Path, place: str, target: str, reason: str
) -> None:
    """The product itself, or a folder of it, is a link to nowhere or to itself."""
    (tmp_path / place).symlink_to(target.format(place=place))
    if place == "gone":
        values["dst"] = tmp_path / place / "deep" / "out.txt"
    refuse(values, tmp_path, f"--dst: {tmp_path / place} is {reason}")


@pytest.mark.parametrize("ending", [".partial", ".partial.json", ".run.json", ".run.json.partial"])
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_where_a_run_writes(
    values: dict[str, Any], tmp_path: Path, ending: str, exists: bool
) -> None:
    other = tmp_path / "other"
    if exists:
        other.write_text("kept")
    link = tmp_path / f"out.txt{ending}"
    link.symlink_to(other)
    refuse(values, tmp_path, f"{link}: expected a file of an earlier run or none, found a link to")
    assert not exists or other.read_text() == "kept"


def test_a_product_and_its_record_may_be_links(
    values: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of people who keep products elsewhere."""
    made = cli.produce(toy.run, values | {"dst": tmp_path / "store" / "out.txt"})
    for name in ("out.txt", "out.txt.run.json"):
        (tmp_path / name).symlink_to(made.with_name(name))
    assert cli.produce(toy.run, values) == values["dst"]
    assert capsys.readouterr().err == f"{values['dst']}: up to date\n"


@pytest.mark.parametrize("target", ["/no/such/place", "text.txt"])
def test_an_input_that_is_a_broken_link(
    values: dict[str, Any], tmp_path: Path, target: str
) -> None:
    values["src"].unlink()
    values["src"].symlink_to(target)
    message = f"--src: no such file or folder: {values['src']} .a link to {target}, which"
    refuse(values, tmp_path, message)
