"""make verify-images: what differs between two builds of an image, by what an engine hands over."""

import io
import json
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from shared.tools.image_trees import main, rebuild, tree

TIME = 1_577_836_800


def archive(**changes: dict[str, Any]) -> bytes:
    """The files of a small container as tar; a change replaces what tar says of one path."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, content in [
            (".dockerenv", tarfile.REGTYPE, b""),
            ("app", tarfile.DIRTYPE, b""),
            ("app/run", tarfile.REGTYPE, b"print()\n"),
            ("app/link", tarfile.SYMTYPE, b""),
            ("etc", tarfile.DIRTYPE, b""),
            ("etc/hosts", tarfile.REGTYPE, b""),
        ]:
            one = changes.get(Path(name).name.lstrip("."), {})
            if one.get("gone"):
                continue
            entry = tarfile.TarInfo(name)
            entry.type, entry.mtime, entry.mode = kind, one.get("mtime", TIME), one.get("mode", 420)
            entry.linkname = one.get("linkname", "run" if kind == tarfile.SYMTYPE else "")
            content = one.get("content", content)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def read(**changes: dict[str, Any]) -> dict[str, tree.Entry]:
    return tree.read(io.BytesIO(archive(**changes)))


def test_equal_trees_have_no_difference_and_one_digest() -> None:
    one, other = read(), read()
    assert set(one) == {"app", "app/run", "app/link", "etc"}
    assert list(tree.differences(one, other)) == []
    assert tree.digest(one) == tree.digest(other)


def test_what_the_engine_makes_in_a_container_does_not_count() -> None:
    changed = read(dockerenv={"mtime": 5}, hosts={"content": b"127.0.0.1"}, etc={"mtime": 5})
    assert list(tree.differences(read(), changed)) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"run": {"content": b"print(1)"}}, "/app/run: contents differ"),
        ({"run": {"mode": 0o755}}, "/app/run: mode 644, then 755"),
        ({"run": {"mtime": TIME + 0.5}}, f"/app/run: time {TIME}.0, then {TIME}.5"),
        ({"app": {"mtime": 0}}, f"/app: time {TIME}.0, then 0.0"),
        ({"link": {"linkname": "etc"}}, "/app/link: target run, then etc"),
        ({"etc": {"mode": 0o700}}, "/etc: mode 644, then 700"),
        ({"run": {"gone": True}}, "/app/run: only in the image that is there"),
    ],
)
def test_each_difference_is_named(change: dict[str, dict[str, Any]], line: str) -> None:
    assert list(tree.differences(read(), read(**change))) == [line]
    assert tree.digest(read()) != tree.digest(read(**change))


def test_a_path_that_is_new_is_named() -> None:
    assert list(tree.differences(read(link={"gone": True}), read())) == [
        "/app/link: only in the one built anew"
    ]


# An engine of two images, the second of which is what `docker build` makes of copies of the files.
ENGINE = """#!{python}
import json, sys
from pathlib import Path
here, words = Path(__file__).parent, sys.argv[1:]
with (here / "said").open("a") as said:
    said.write(json.dumps(words) + "\\n")
anew = "built-anew" in words[-1]
if words[:2] == ["image", "inspect"]:
    labels = {{"lcz42-edge.inputs": "i", "org.opencontainers.image.revision": "r"}}
    user = (here / "user").read_text() if anew else "1000"
    print(json.dumps([{{"Config": {{"Image": words[-1], "User": user, "Labels": labels}}}}]))
elif words[0] == "compose":
    build = {{"dockerfile": "images/plain.Dockerfile", "args": {{"STAGE": "merge"}}}}
    print(json.dumps({{"services": {{"merge": {{"build": build}}}}}}))
elif words[0] == "build":
    files = [path for path in Path(words[-1]).rglob("*") if path.is_file()]
    facts = {{f"{{path.stat().st_mode:o}} {{path.stat().st_mtime:.0f}}" for path in files}}
    (here / "copies").write_text(json.dumps([len(files), sorted(facts)]))
    sys.exit((here / "broken").exists() and "no space left on device")
elif words[0] == "create":
    print("anew" if anew else "first")
elif words[0] == "export":
    sys.stdout.buffer.write((here / f"{{words[1]}}.tar").read_bytes())
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "docker").write_text(ENGINE.format(python=sys.executable))
    (folder / "docker").chmod(0o755)
    (folder / "user").write_text("1000")
    for name in ("first", "anew"):
        (folder / f"{name}.tar").write_bytes(archive())
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(main.containers, "ensure_image", lambda _: "sha256:1")
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    return folder


def said(engine: Path) -> list[list[str]]:
    return [json.loads(line) for line in (engine / "said").read_text().splitlines()]


def test_a_second_build_is_of_copies_without_caches_and_is_taken_away(
    engine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["merge"]) == 0
    assert capsys.readouterr().out.startswith("merge: identical, 4 paths, SHA-256 of all ")
    (build,) = [words for words in said(engine) if words[0] == "build"]
    assert {"--no-cache", "UV_NO_CACHE=1", "STAGE=merge"} <= set(build)
    assert not Path(build[-1]).exists()
    count, facts = json.loads((engine / "copies").read_text())
    assert count > 100
    modes = {text.split()[0] for text in facts}
    assert modes == {"100600", "100700"}  # images/settle is a program
    assert {text.split()[1] for text in facts} == {str(rebuild.OLD)}
    removed = ["image", "rm", "--force", "lcz42-edge/merge:built-anew"]
    assert said(engine)[-1] == removed


def test_differences_of_files_and_settings_are_told(
    engine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (engine / "anew.tar").write_bytes(archive(run={"content": b"other"}))
    (engine / "user").write_text("0")
    assert main.main(["merge"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "merge: /app/run: contents differ",
        "merge: User: 1000, then 0",
        "merge: 2 differences",
    ]


def test_a_build_that_fails_is_refused(engine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (engine / "broken").touch()
    assert main.main(["merge"]) == 2
    assert "merge: the second build failed:\nno space left on device" in capsys.readouterr().err
