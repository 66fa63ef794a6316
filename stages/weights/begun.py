"""An unfinished download, the server's mark of the content it began with, the rest to ask for."""

from pathlib import Path


def mark(target: Path) -> Path:
    """Where the mark (ETag) lies, so that nobody goes on with another content of the same place."""
    return target.with_name(target.name + ".etag")


def size(target: Path) -> int:
    """Bytes that are there."""
    return target.stat().st_size if target.exists() else 0


def forget(target: Path) -> None:
    """Remove what was fetched, so that nobody goes on with it."""
    target.unlink(missing_ok=True)
    mark(target).unlink(missing_ok=True)


def headers(target: Path, start: int) -> dict[str, str]:
    """What to say in a request for the bytes from `start` on, or for the whole of other content."""
    said = {"Accept-Encoding": "identity"}  # sizes and ranges are those of the file itself
    if start:
        said["Range"] = f"bytes={start}-"
        if mark(target).exists():
            said["If-Range"] = mark(target).read_text()
    return said
