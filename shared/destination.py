"""Where a product goes: its name, its folders, and what may not be in its place."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from shared.errors import StageError


def as_paths(value: Any) -> tuple[Path, ...]:
    """The paths of an input: of one, of several, or of none."""
    if isinstance(value, tuple):
        return value
    return () if value is None else (value,)


def check_place(dst: Path, inputs: Mapping[str, Any] | None = None) -> None:
    """Refuse a product without a name, below a file, below an input, or behind a broken link.

    Args:
        dst: the product.
        inputs: parameter name to Path, tuple of Path, or None.

    Raises:
        StageError: says which of these.
    """
    if not dst.name:
        raise StageError(f"--dst: expected the name of a file or folder, found {str(dst)!r}")
    for path in (dst, *dst.parents):
        if leads_nowhere(path):
            raise StageError(
                f"--dst: {path} is {describe_link(path)}; remove the link, or make what it leads to"
            )
    for folder in dst.parents:
        if folder.exists() and not folder.is_dir():
            raise StageError(f"{folder}: expected a folder to write {dst} in, found a file")
    for name, value in (inputs or {}).items():
        for path in as_paths(value):
            if path.is_dir() and path.resolve() in dst.resolve().parents:
                raise StageError(f"--dst: {dst} lies inside the input --{name} {path}")


def make_folder(path: Path) -> None:
    """Make a folder that a tool writes into, with the folders above it, where it is not there.

    Raises:
        StageError: a file lies there, or nothing may be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StageError(f"{path}: expected a folder to write into: {error.strerror}") from None


def refuse_links(paths: Iterable[Path]) -> None:
    """Refuse links where a run writes files of its own, as a link would lead them elsewhere.

    Raises:
        StageError: names the first link and where it leads.
    """
    for path in paths:
        if path.is_symlink():
            raise StageError(
                f"{path}: expected a file of an earlier run or none, found {describe_link(path)}; "
                "remove the link"
            )


def leads_nowhere(path: Path) -> bool:
    """Whether this is a link to what does not exist, or to itself."""
    return path.is_symlink() and not path.exists()


def describe_link(path: Path) -> str:
    """A link in words: "a link to /old/x.h5, which does not exist"."""
    target = path.readlink()
    try:
        path.stat()
    except FileNotFoundError:
        return f"a link to {target}, which does not exist"
    except OSError as error:  # a loop of links, or a folder that may not be read
        return f"a link to {target}, which cannot be followed ({error.strerror})"
    return f"a link to {target}"
