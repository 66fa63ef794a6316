#!/usr/bin/env python3
"""Verify, load, check and install what lies beside this file. Python 3.10 or later, no package.

    python3 install.py verify                  digests of every file and of the image
    python3 install.py load                    verify, then give the image to the container engine
    python3 install.py check                   verify, then classify the bundle's own test pictures
    python3 install.py classify FOLDER TABLE   a folder of pictures on the CPU, to TABLE.csv
    python3 install.py sdk TREE                verify, then copy into customers/ of a Voyager SDK

With several bundles here, --bundle NAME says which. Exit code 2: refused, told in one line.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from manifest import (  # lies beside this file, where it is run
    MANIFEST,
    RefusedError,
    image_of,
    problems,
    read,
    verify,
)  # fmt: skip


def docker(*words: str, quiet: bool = False) -> int:
    """Exit code of the container engine's command."""
    out = subprocess.DEVNULL if quiet else None
    try:
        return subprocess.run(["docker", *words], stdout=out, stderr=out, check=False).returncode
    except FileNotFoundError:
        raise RefusedError("docker: no such command here; install a container engine") from None


def load(bundle: Path) -> None:
    """Verify, then load the image."""
    image = verify(bundle)["image"]
    if docker("load", "--input", str(bundle.parent / image["file"])):
        raise RefusedError(f"{image['file']}: docker load failed, see above")


def mount(path: Path, place: str, *more: str) -> str:
    """A bind mount; quoted, because the engine reads it as a line of CSV."""
    source = str(path).replace('"', '""')
    return "--mount=" + ",".join(["type=bind", f'"src={source}"', f"dst={place}", *more])


def inside(bundle: Path, *words: str, mounts: tuple[str, ...] = ()) -> None:
    """Run the image's checker, sealed off, with the bundle at /bundle."""
    image = image_of(bundle)
    # By id, because a name may meanwhile stand for another image; some engines number anew.
    names = (image["id"], image["tag"])
    name = next((n for n in names if not docker("image", "inspect", n, quiet=True)), None)
    if name is None:
        raise RefusedError(f"{image['tag']}: not loaded here; python3 install.py load")
    # Never pulled: nobody owns the name of the image in a public registry.
    sealed = ["--rm", "--pull=never", "--network=none", "--read-only", "--cap-drop=ALL"]
    sealed += [
        "--tmpfs=/tmp",
        "--security-opt=no-new-privileges",
        f"--user={os.getuid()}:{os.getgid()}",
    ]
    places = [mount(bundle, "/bundle", "readonly"), *mounts]
    module = ["-m", "stages.export.check", "--bundle", "/bundle"]
    command = ["run", *sealed, *places, "--entrypoint=python", name, *module, *words]
    if code := docker(*command):
        raise RefusedError(f"{bundle}: the check in the image ended with code {code}, see above")


def classify(bundle: Path, pictures: Path, table: Path) -> None:
    """A folder of pictures through the bundle's network on the CPU, without the accelerator."""
    verify(bundle, image=False)
    if not pictures.is_dir() or not table.resolve().parent.is_dir():
        raise RefusedError(f"{pictures}, {table.parent}: expected two folders")
    images = mount(pictures.resolve(), "/images", "readonly")
    mounts = (images, mount(table.resolve().parent, "/out"))
    inside(bundle, "--images", "/images", "--dst", f"/out/{table.name}", mounts=mounts)


def sdk(bundle: Path, tree: Path) -> Path:
    """Copy the bundle into customers/ of an SDK tree; a link would not be followed there."""
    manifest = verify(bundle, image=False)
    if lacking := [name for name in ("deploy.py", "ax_models") if not (tree / name).exists()]:
        raise RefusedError(f"{tree}: expected a Voyager SDK, found no {', '.join(lacking)}")
    target = tree / "customers" / bundle.name
    if target.is_symlink() or target.exists():
        whole = (target / MANIFEST).is_file() and not problems(target)
        if target.is_symlink() or not whole or read(target)["files"] != manifest["files"]:
            raise RefusedError(f"{target}: there is another one; take it away first")
        return target
    target.parent.mkdir(exist_ok=True)
    draft = tree / f".{bundle.name}.partial"  # outside customers, where the SDK looks for YAMLs
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(bundle, draft)
    draft.rename(target)
    return target


def choose_bundle(name: str | None) -> Path:
    """The bundle of that name beside this file, or the only one."""
    here = Path(__file__).resolve().parent
    places = (path.parent for path in here.glob(f"*/{MANIFEST}"))
    bundles = sorted(path for path in places if path.suffix != ".partial")
    chosen = [path for path in bundles if name in (None, path.name)]
    if len(chosen) != 1:
        names = ", ".join(path.name for path in bundles) or "none"
        raise RefusedError(f"--bundle: expected one of the bundles in {here}, which are {names}")
    return chosen[0]


def run(command: str, bundle: Path, paths: list[Path]) -> None:
    """Do what the command line asks for."""
    if len(paths) != (wanted := {"classify": 2, "sdk": 1}.get(command, 0)):
        raise RefusedError(f"{command}: expected {wanted} paths, found {len(paths)}")
    if command in ("verify", "check"):
        verify(bundle, image=command == "verify")
        print(f"{bundle}: every file as in {MANIFEST}", flush=True)
    if command == "check":
        inside(bundle)
    elif command == "load":
        load(bundle)
    elif command == "classify":
        classify(bundle, *paths)
    elif command == "sdk":
        print(f"{sdk(bundle, *paths)}: {bundle / 'DEPLOY.md'} says how to go on")


def main() -> int:
    """Exit code of the command line."""
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("command", choices=("verify", "load", "check", "classify", "sdk"))
    parser.add_argument("paths", nargs="*", type=Path, help="of classify and sdk")
    parser.add_argument("--bundle", help="which one, when several lie here")
    given = parser.parse_args()
    try:
        run(given.command, choose_bundle(given.bundle), given.paths)
    except (RefusedError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
