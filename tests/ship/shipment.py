"""What the tests of `ship` share: a small bundle, an engine, ssh and docker that are not there."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from shared.tools.ship import main

NAME = "lcz42-tiny"
IMAGE = np.random.default_rng(0).bytes(3_000_000)  # what the engine's image consists of
NUMBER = "sha256:" + "ab" * 32
FILES = {
    f"{NAME}.yaml": b"name: lcz42-tiny\n",
    "model.onnx": b"network",
    "val/01_A/000001.png": b"picture",
    "repr/000002.png": b"other",
}
SSH = """#!/bin/sh
[ "$1" = user@metis ] || exit 255
shift
cd "$METIS" || exit 255
case "$*" in
*" take export"*) [ -n "$CUT" ] && { head -c "$CUT" | sh -c "$*"; exit 255; } ;;
esac
exec sh -c "$*"
"""
DOCKER = """#!/bin/sh
echo "$@" >>"$METIS/docker.log"
case "$1" in run) echo "accuracy 75.00 %" ;; esac
"""


class Image:
    """An image as docker's SDK gives it."""

    id = NUMBER
    attrs: ClassVar = {"Size": len(IMAGE)}
    saved = 0

    def save(self, chunk_size: int, named: str) -> Iterator[bytes]:
        assert named == "lcz42-edge/export:latest"
        Image.saved += 1
        yield from (IMAGE[i : i + 500_000] for i in range(0, len(IMAGE), 500_000))


class Client:
    """An engine that holds that one image."""

    @property
    def images(self) -> "Client":
        return self

    def ping(self) -> None: ...

    def close(self) -> None: ...

    def get(self, tag: str) -> Image:
        from docker.errors import ImageNotFound

        if tag != "lcz42-edge/export:latest":
            raise ImageNotFound(tag)
        return Image()


def prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle, and commands of that name in front on the PATH; the home of user@metis."""
    import docker

    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)  # as on most machines
    place = tmp_path / "metis"
    for name, content in FILES.items():
        path = tmp_path / "bundle" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "bin").mkdir()
    place.mkdir()
    for name, text in (("ssh", SSH), ("docker", DOCKER)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("METIS", str(place))
    monkeypatch.setattr(docker, "from_env", lambda **_: Client())
    monkeypatch.setattr(Image, "saved", 0)
    return place


def ship(home: Path, dest: str, *flags: str) -> None:
    """Run the tool as people do."""
    inputs = [f"--bundle={home.parent / 'bundle'}", f"--spool={home.parent / 'spool'}"]
    main.main([*inputs, f"--dest={dest}", *flags])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return prepare(tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One shipment to a folder, to be read only."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder = prepare(tmp_path_factory.mktemp("made"), monkeypatch)
        ship(folder, f"{folder}/dir", "--noload")
    return folder.parent


@pytest.fixture
def sent(made: Path, home: Path) -> Path:
    """A copy of that shipment, from the bundle beside `home`."""
    shutil.copytree(made / "spool", home.parent / "spool")
    return shutil.copytree(made / "metis" / "dir", home / "dir")


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / NAME / "MANIFEST.json").read_text())
