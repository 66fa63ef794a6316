"""Small files of others: regular, of a size that memory holds, not nested without an end."""

import os
import re
import socket
from pathlib import Path

import pytest

from shared.reading import documents

ROOT = Path(__file__).resolve().parents[2]


def test_reads_text_and_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"ä": [1, 2.5]}', encoding="utf-8")
    (tmp_path / "link.json").symlink_to("a.json")
    assert documents.read_json(tmp_path / "link.json") == {"ä": [1, 2.5]}
    assert documents.read_text(tmp_path / "a.json") == '{"ä": [1, 2.5]}'


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * 10**5 + "]" * 10**5, "x"])
def test_what_is_nested_too_deeply_is_no_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"nested too deeply|Expecting value"):
        documents.read_json(tmp_path / "a.json")


def test_what_is_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"x" * 11)
    assert documents.read_text(tmp_path / "a.txt", 11) == "x" * 11
    with pytest.raises(ValueError, match="expected at most"):
        documents.read_text(tmp_path / "a.txt", 10)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UnicodeDecodeError):
        documents.read_text(tmp_path / "a.txt")


def test_pipes_and_devices_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name in ("pipe", "endless"):
        with pytest.raises(ValueError, match="found a pipe, device or socket"):
            documents.read_text(tmp_path / name)


def test_sockets_folders_and_nothing_are_errors_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as end:
        end.bind("socket")
    for path in (Path("socket"), Path("nothing"), Path()):
        with pytest.raises(OSError, match=r"\[Errno"):
            documents.read_text(path)


def test_nobody_reads_json_or_yaml_past_this_room() -> None:
    """A reader of its own would lack the checks above; shared/manifest.py stands alone."""
    past = re.compile(r"(json\.loads|safe_load)\([^)\n]*(?<!documents)\.read_(text|bytes)\(")
    for path in [*(ROOT / "shared").rglob("*.py"), *(ROOT / "stages").rglob("*.py")]:
        if path != ROOT / "shared" / "manifest.py":
            assert not past.search(path.read_text()), path
