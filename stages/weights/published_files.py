"""The published files that records list (`shared/sr/methods`, `shared/published`), by name."""

from shared.errors import StageError
from shared.published import Published, load_all


def find(name: str) -> Published:
    """One listed file.

    Raises:
        StageError: not listed; says which are.
    """
    files = load_all()
    if name not in files:
        raise StageError(f"--name: expected one of {', '.join(sorted(files))}, found {name!r}")
    return files[name]


def format_record(size: int, sha256: str) -> str:
    """The lines for a record that say what a file was when it was fetched."""
    return f'bytes = {size}\nsha256 = "{sha256}"'
