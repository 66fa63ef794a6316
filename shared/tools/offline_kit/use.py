"""Prepares a checkout to build and run from a kit, without a network: `make from-kit KIT=folder`.

python3 -m shared.tools.offline_kit.use ../kit
"""

import shutil
import sys
from pathlib import Path

from shared import manifest, terminal
from shared.errors import StageError
from shared.tools.offline_kit import engine
from shared.tools.offline_kit.gather import machine

LINK = Path(".kit")  # in the checkout; make takes packages from there while it is
MIRROR = Path("data", "mirror")  # below data/, which is all that containers see


def verify(kit: Path) -> None:
    """Refuse a kit with a file that is damaged, missing or too much, or one for other machines.

    Raises:
        StageError: the name of the first such file.
    """
    try:
        problems = manifest.problems(kit)
        facts = manifest.read(kit).get("record") or {}
    except manifest.RefusedError as error:
        raise StageError(str(error)) from None
    if problems:
        more = f" ({len(problems)} such files)" if len(problems) > 1 else ""
        raise StageError(f"{problems[0]}{more}; copy the kit again")
    for name, here in machine().items():
        if facts.get(name) != here:
            raise StageError(f"{kit}: expected a kit for {name} {here}, found one for "
                             f"{facts.get(name)}; gather one on a machine like this")  # fmt: skip


def use(kit: Path, root: Path) -> None:
    """Have make take packages, weights and images from a kit.

    Args:
        kit: folder of `make offline-kit`.
        root: the checkout.

    Raises:
        StageError: a damaged kit, or an engine that refuses.
    """
    verify(kit)
    for path in sorted(kit.glob("weights/*")):
        (root / MIRROR).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, root / MIRROR / path.name)
    if (kit / "base.tar").exists() and engine.answers():
        engine.load(kit / "base.tar")
        if (kit / "images.tar").exists():
            engine.load(kit / "images.tar")
        else:
            engine.import_wheels(kit / "wheels")
    draft = root / f"{LINK}.partial"
    draft.unlink(missing_ok=True)
    draft.symlink_to(kit.absolute())
    draft.replace(root / LINK)


def main(words: list[str]) -> int:
    """Take a kit; 0, or 2 on a refusal."""
    kit = Path(words[0] if words else "")
    try:
        if not words or not kit.is_dir():
            raise StageError(f"KIT: expected a folder of make offline-kit, found {words[:1]}")
        use(kit, Path.cwd())
    except StageError as error:
        return terminal.refuse(error)
    print(terminal.escape(f"{kit}: every file is as its manifest says; packages come from it now, "
                          f"weights with MIRROR={MIRROR}; rm {LINK} ends that"))  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
