"""make offline-kit and make from-kit: what is gathered, refused by name, and taken by make."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from shared import manifest
from shared.errors import StageError
from shared.tools.offline_kit import engine, gather, use, wheels

ROOT = Path(__file__).resolve().parents[2]
LOCK = """# by uv
b==1 \\
    --hash=sha256:11
    # via a
a==1.0 ; sys_platform == 'linux' \\
    --hash=sha256:22 \\
    --hash=sha256:33
"""
# pip as far as it is asked here: it "fetches" a file for each line of its list.
PIP = """
import sys
from pathlib import Path
words = sys.argv[1:]
folder = Path(words[words.index("--dest") + 1])
index = "--no-index" not in words
text = Path(words[words.index("--requirement") + 1]).read_text()
for line in text.splitlines():
    if "==" in line:
        name, version = line.split(" ")[0].split("==")
        if name == "lost":
            sys.exit("ERROR: no such package")
        file = folder / f"{name}-{version}.whl"
        if not index and file.read_text() != line:
            sys.exit("ERROR: hashes do not match")
        if index:
            print("fetched", file, file=(folder.parent.parent / "data" / "log").open("a"))
            file.write_text(line)
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small repository with one commit, where no container engine answers."""
    root = tmp_path / "checkout"
    (root / "images" / "merge").mkdir(parents=True)
    (root / "images" / "merge" / "requirements.txt").write_text(LOCK)
    (root / ".gitignore").write_text("/data\n/kit\n/pip.py\n")
    for words in (
        ["init", "--quiet"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "one"],
    ):
        subprocess.run(["git", "-C", root, *words], check=True)
    (root / "pip.py").write_text(PIP)
    weights = root / "data" / "tiny" / "weights"
    weights.mkdir(parents=True)
    for name in ("RealESRGAN_x2plus.pth", "RealESRGAN_x4plus.pth"):
        (weights / name).write_bytes(b"weights")
        facts = {"output": {"sha256": manifest.digest(weights / name)}}
        (weights / f"{name}.run.json").write_text(json.dumps(facts))
    (weights / "RealESRGAN_x4plus.pth").write_bytes(b"changed")
    monkeypatch.setattr(engine, "answers", lambda: False)
    monkeypatch.chdir(root)
    return root


def fill(root: Path, *locks: str, images: bool = False) -> Path:
    paths = [root / "images" / "merge" / "requirements.txt", *(root / lock for lock in locks)]
    gather.gather(root, root / "kit", paths, [sys.executable, "pip.py"], images)
    return root / "kit"


def test_a_lock_is_read_entry_by_entry() -> None:
    pins = wheels.read_pins(LOCK)
    assert list(pins) == [("b", "1"), ("a", "1.0")]
    assert pins["b", "1"] == "b==1 \\\n    --hash=sha256:11"
    assert pins["a", "1.0"].startswith("a==1.0 ; sys_platform == 'linux' \\\n")
    assert "via" not in "".join(pins.values())


def test_versions_of_one_package_are_asked_for_one_after_the_other() -> None:
    other = "a==2.0 \\\n    --hash=sha256:44\nc==1 \\\n    --hash=sha256:55\n"
    rounds = wheels.plan_rounds([LOCK, other, LOCK])
    assert [[line.split(" ")[0] for line in entries] for entries in rounds] == [
        ["a==1.0", "b==1", "c==1"],
        ["a==2.0"],
    ]


def test_every_entry_of_every_lock_here_is_read() -> None:
    for lock in [*ROOT.glob("images/*/requirements.txt"), *ROOT.glob("images/*.txt")]:
        text = lock.read_text()
        pins = wheels.read_pins(text)
        assert len(pins) == sum(line[:1].isalnum() for line in text.splitlines()) > 0, lock
        assert sum(entry.count("--hash=") for entry in pins.values()) == text.count("--hash=")


def test_a_kit_is_whole_and_a_second_run_keeps_it(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kit = fill(checkout)
    names = {path.relative_to(kit).as_posix() for path in kit.rglob("*") if path.is_file()}
    assert names == {
        *("MANIFEST.json", "README.md", "source.bundle", "wheels/a-1.0.whl"),
        *("wheels/b-1.whl", "weights/RealESRGAN_x2plus.pth"),
    }
    assert "RealESRGAN_x4plus.pth: left out" in capsys.readouterr().err
    before, log = (kit / "MANIFEST.json").read_bytes(), checkout / "data" / "log"
    log.unlink()
    fill(checkout)
    assert not log.exists()  # nothing was fetched again
    (kit / "wheels" / "b-1.whl").write_text("damaged")
    fill(checkout)
    assert log.exists()
    assert (kit / "MANIFEST.json").read_bytes() == before
    assert gather.show_sizes(kit).splitlines()[-1].endswith(str(kit))
    use.verify(kit)


def test_the_command_hands_on_every_lock(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["gather", "--to", str(fill(checkout)), "--pip", "py", "--locks", "a.txt", "b.txt"]
    given: list[object] = []
    monkeypatch.setattr(gather, "gather", lambda *words: given.extend(words))
    monkeypatch.setattr(sys, "argv", line)
    assert gather.main() == 0
    kit, locks = checkout / "kit", [Path("a.txt"), Path("b.txt")]
    assert given == [checkout, kit, locks, ["py", "-m", "pip"], False]
    assert capsys.readouterr().out.splitlines()[-1].endswith(str(kit))


def test_a_damaged_kit_says_how_many_files_are(checkout: Path) -> None:
    kit = fill(checkout)
    for name, more in (("a-1.0.whl", ""), ("b-1.whl", " (2 such files)")):
        (kit / "wheels" / name).write_text("damaged")
        with pytest.raises(StageError) as refused:
            use.verify(kit)
        assert str(refused.value).endswith(f"{more}; copy the kit again")
        assert ("such files" in str(refused.value)) == bool(more)


@pytest.mark.parametrize(
    ("file", "there"),
    [
        ("Py_Yaml-6.0-cp311-x.whl", True),
        ("py-yaml-6.0.tar.gz", True),
        ("py_yaml-5.0-cp311-x.whl", False),
        ("yaml-6.0-cp311-x.whl", False),
    ],
)
def test_files_are_known_by_name_and_version(tmp_path: Path, file: str, there: bool) -> None:
    (tmp_path / file).touch()
    assert wheels._is_there("py.yaml==6.0 \\\n --hash=sha256:77", tmp_path) == there


def test_a_kit_that_was_cut_off_is_none(checkout: Path) -> None:
    (checkout / "lost.txt").write_text("lost==1 \\\n    --hash=sha256:66\n")
    with pytest.raises(
        StageError, match=r"pip did not fetch every file .*no such package.* goes on"
    ):
        fill(checkout, "lost.txt")
    assert (checkout / "kit" / "source.bundle").exists()
    with pytest.raises(StageError, match=r"MANIFEST\.json: expected a manifest"):
        use.verify(checkout / "kit")
    (checkout / "lost.txt").unlink()
    use.verify(fill(checkout))


def test_a_file_is_no_kit(checkout: Path) -> None:
    (checkout / "kit").write_text("kept")
    with pytest.raises(StageError, match="kit: expected a folder to write into: File exists"):
        fill(checkout)


def test_only_a_commit_is_gathered(checkout: Path) -> None:
    (checkout / ".gitignore").write_text("/data\n/kit\n/pip.py\nx\n")
    with pytest.raises(StageError, match=r"found \.gitignore changed; git commit first"):
        fill(checkout)


def test_images_need_an_engine(checkout: Path) -> None:
    with pytest.raises(StageError, match="IMAGES=1: no container engine answers"):
        fill(checkout, images=True)


def test_what_is_gathered_can_be_cloned_and_used(checkout: Path, tmp_path: Path) -> None:
    kit, clone = fill(checkout), tmp_path / "a clone"
    words = ["git", "clone", "--quiet", str(kit / "source.bundle"), str(clone)]
    subprocess.run(words, check=True, capture_output=True)
    assert (clone / "images" / "merge" / "requirements.txt").read_text() == LOCK
    use.use(kit, clone)
    assert (clone / ".kit" / "wheels" / "b-1.whl").exists()
    assert (clone / "data" / "mirror" / "RealESRGAN_x2plus.pth").read_bytes() == b"weights"
    use.use(kit, clone)  # again, as after a newer kit


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("flip", "wheels/b-1.whl: expected SHA-256"),
        ("remove", "wheels/b-1.whl: missing"),
        ("add", "wheels/c-1.whl: not in the manifest"),
        ("manifest", "MANIFEST.json: expected a manifest"),
        ("machine", "expected a kit for python 3"),
    ],
)
def test_a_damaged_kit_is_refused_by_name(
    checkout: Path, capsys: pytest.CaptureFixture[str], damage: str, message: str
) -> None:
    kit = fill(checkout)
    wheel = kit / "wheels" / "b-1.whl"
    if damage == "flip":
        wheel.write_text(wheel.read_text().replace("b", "c", 1))
    elif damage == "remove":
        wheel.unlink()
    elif damage == "add":
        wheel.with_name("c-1.whl").touch()
    elif damage == "manifest":
        text = (kit / "MANIFEST.json").read_text()
        (kit / "MANIFEST.json").write_text(text.replace("b-1.whl", "B-1.whl"))
    else:
        facts = {"commit": "x", "python": "3.9", "machine": "x86_64"}
        (kit / "MANIFEST.json").write_bytes(manifest.write(kit, None, facts, None))
    capsys.readouterr()
    assert use.main([str(kit)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.splitlines()) == 1
    assert not (checkout / ".kit").exists()


def test_no_kit_is_refused(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], [str(checkout / "none")]):
        assert use.main(words) == 2
        assert "error: KIT: expected a folder of make offline-kit" in capsys.readouterr().err


def test_an_archive_of_images_tells_which_it_has(tmp_path: Path) -> None:
    archive, content = tmp_path / "images.tar", tmp_path / "manifest.json"
    content.write_text(json.dumps([{"Config": "ab.json"}, {"Config": "blobs/sha256/cd"}]))
    with tarfile.open(archive, "w") as tar:
        tar.add(content, "manifest.json")
    assert engine.read_numbers(archive) == {"ab", "cd"}
    archive.write_bytes(archive.read_bytes()[:100])
    assert engine.read_numbers(archive) == set()
    assert engine.read_numbers(tmp_path / "none") == set()


def test_make_takes_packages_from_a_kit_alone(tmp_path: Path) -> None:
    """While .kit leads to one: pip and uv are told so by their variables."""
    (tmp_path / "images").symlink_to(ROOT / "images")
    (tmp_path / "Makefile").write_text(
        "include images/environments.mk\n"
        "show:\n\t@echo $$UV_OFFLINE $$PIP_NO_INDEX $$PIP_FIND_LINKS\n"
    )
    clean = {
        name: text for name, text in os.environ.items() if not name.startswith(("PIP_", "UV_"))
    }
    line = ["make", "--no-print-directory", "show"]

    def show() -> str:
        return subprocess.run(
            line, cwd=tmp_path, env=clean, capture_output=True, text=True, check=True
        ).stdout.strip()

    assert show() == ""
    (tmp_path / "kit").mkdir()
    (tmp_path / "kit" / "MANIFEST.json").touch()
    (tmp_path / ".kit").symlink_to(tmp_path / "kit")
    assert show() == "1 1 .kit/wheels"
