"""make sizes: own and shared bytes of each image, by what an engine says."""

import json
import os
from pathlib import Path

import pytest

from shared.errors import StageError
from shared.tools import sizes


def test_texts_of_engines() -> None:
    texts = ("0B", "725kB", "124.5MB", "7.893GB", "1.5TB")
    assert [sizes.read_bytes(text) for text in texts] == [0, 725e3, 124.5e6, 7.893e9, 1.5e12]
    with pytest.raises(StageError, match=r"expected a size such as 124\.5MB, found N/A"):
        sizes.read_bytes("N/A")


def test_only_images_of_this_project_the_largest_own_share_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [
        {"Repository": "lcz42-edge/tda", "UniqueSize": "750kB", "SharedSize": "664MB"},
        {"Repository": "other/tda", "UniqueSize": "9GB", "SharedSize": "0B"},
        {"Repository": "lcz42-edge/map", "UniqueSize": "401.6MB", "SharedSize": "216.8MB"},
    ]
    (tmp_path / "verbose").write_text(json.dumps({"Images": images}))
    kinds = [{"Type": "Images", "Size": "18.4GB"}, {"Type": "Containers", "Size": "0B"}]
    (tmp_path / "short").write_text("\n".join(map(json.dumps, kinds)))
    docker = tmp_path / "docker"
    docker.write_text(
        f"#!/bin/bash\n[ $3 = --verbose ] && cat {tmp_path}/verbose || cat {tmp_path}/short\n"
    )
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert sizes.main() == 0
    assert capsys.readouterr().out.splitlines() == [
        "   own MB  shared MB  image",
        "    401.6      216.8  map",
        "      0.8      664.0  tda",
        "2 images; all layers of this engine together: 18.4 GB",
    ]
    docker.write_text("#!/bin/bash\necho 'cannot connect' >&2; exit 1\n")
    assert sizes.main() == 2
    assert capsys.readouterr().err == (
        "error: make sizes: no container engine answers: cannot connect\n"
    )
