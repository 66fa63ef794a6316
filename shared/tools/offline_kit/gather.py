"""Gathers what machines without a network need: `make offline-kit`.

    python3 -m shared.tools.offline_kit.gather --to kit --pip PYTHON --locks images/*.txt

What an earlier run gathered stays, so that the same command goes on after a stop.
"""

import argparse
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from shared import manifest, published, terminal
from shared.destination import make_folder
from shared.errors import StageError
from shared.pipeline import containers
from shared.reading import documents
from shared.tools.offline_kit import engine, wheels

GUIDE = """# lcz42-edge without a network

Python 3.11, make and git are needed, and a container engine where stages are to run in containers.

    git clone source.bundle lcz42-edge
    cd lcz42-edge
    make from-kit KIT=..
    make demo

`make from-kit` compares every file here with MANIFEST.json first, and names what is damaged.
docs/offline.md in the clone says more.
"""


def bundle_source(root: Path, kit: Path) -> str:
    """Write the commit of the checkout with its history as a git bundle; the commit.

    Raises:
        StageError: no commit, or tracked files that are not as in it.
    """
    if changed := _git(root, "status", "--porcelain", "--untracked-files=no"):
        raise StageError(
            f"offline-kit: expected the files of a commit, found {changed.split()[1]} changed; "
            "git commit first"
        )
    draft = kit / "source.bundle.partial"
    _git(root, "bundle", "create", "--quiet", str(draft.absolute()), "HEAD")
    draft.replace(kit / "source.bundle")
    return _git(root, "rev-parse", "HEAD")


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True)
    if done.returncode:
        raise StageError(f"git {words[0]}: {' '.join(done.stderr.split())}")
    return done.stdout.strip()


def find_weights(data: Path) -> Iterator[Path]:
    """Published files of weights that are products below a folder and are as their records say."""
    for name in sorted(published.load_all()):
        for path in sorted(data.glob(f"**/weights/{name}"))[:1]:
            record = path.with_name(f"{name}.run.json")
            if record.exists() and _recorded(record) == manifest.digest(path):
                yield path
            else:
                _say(f"{path}: left out: it is not as its record says; make weights")


def _recorded(record: Path) -> str:
    try:
        return str(documents.read_json(record)["output"]["sha256"])
    except (ValueError, KeyError, TypeError):
        return ""


def gather(root: Path, kit: Path, locks: Sequence[Path], pip: Sequence[str], images: bool) -> None:
    """Fill a folder.

    Args:
        root: the checkout.
        kit: folder to make or to go on with.
        locks: whose packages are fetched.
        pip: words that start pip.
        images: whether the images of all stages go along, built first where they are missing.

    Raises:
        StageError: the kit is a file, no commit, a package that cannot be had, or an engine that
            refuses.
    """
    make_folder(kit)
    (kit / manifest.MANIFEST).unlink(missing_ok=True)  # it is no kit until all is there
    commit = bundle_source(root, kit)
    wheels.fetch(locks, kit / "wheels", pip)
    for path in find_weights(root / "data"):
        (kit / "weights").mkdir(exist_ok=True)
        shutil.copyfile(path, kit / "weights" / path.name)
        _say(f"weights: {path.name}")
    if engine.answers():
        engine.save([engine.base_name(root)], kit / "base.tar")
        if images:
            stages = sorted(path.parent.name for path in root.glob("images/*/requirements.txt"))
            names = [stage.replace("_", "-") for stage in stages]
            containers.ensure_images(names)
            engine.save([f"lcz42-edge/{name}" for name in names], kit / "images.tar")
    elif images:
        raise StageError("IMAGES=1: no container engine answers, which the images would be from")
    else:
        _say("no container engine answers: the kit is for virtual environments alone")
    (kit / "README.md").write_text(GUIDE)
    for draft in kit.glob("*.partial"):
        draft.unlink()
    facts = {"commit": commit, **machine()}
    (kit / manifest.MANIFEST).write_bytes(manifest.write(kit, None, facts, None))


def machine() -> dict[str, str]:
    """What the files of packages are for."""
    return {"python": ".".join(platform.python_version_tuple()[:2]), "machine": platform.machine()}


def show_sizes(kit: Path) -> str:
    """MB of each part and of the whole."""
    sizes = {}
    for part in sorted(kit.iterdir()):
        files = part.rglob("*") if part.is_dir() else [part]
        sizes[part.name] = sum(file.stat().st_size for file in files if file.is_file())
    lines = [f"{size / 1e6:11,.1f} MB  {name}" for name, size in sizes.items()]
    return "\n".join([*lines, f"{sum(sizes.values()) / 1e6:11,.1f} MB  {kit}"])


def main() -> int:
    """Gather and print the sizes; 0, or 2 on a refusal."""
    parser = argparse.ArgumentParser(prog="offline-kit", description="A kit without a network.")
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--pip", required=True, help="a Python that has pip")
    parser.add_argument("--images", action="store_true")
    parser.add_argument("--locks", type=Path, nargs="+", required=True)
    words = parser.parse_args()
    try:
        pip = [words.pip, "-m", "pip"]
        gather(Path.cwd(), words.to, words.locks, pip, words.images)
    except StageError as error:
        return terminal.refuse(error)
    print(terminal.escape_lines(show_sizes(words.to)))
    return 0


def _say(text: str) -> None:
    print(terminal.escape(text), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
