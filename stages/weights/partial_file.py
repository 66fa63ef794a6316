"""An unfinished download, the server's mark of the content it began with, the rest to ask for."""

from pathlib import Path


def etag_path(target: Path) -> Path:
    """Where the mark (ETag) lies, so that nobody goes on with another content of the same place."""
    return target.with_name(target.name + ".etag")


def count_bytes(target: Path) -> int:
    """Bytes that are there."""
    return target.stat().st_size if target.exists() else 0


def discard(target: Path) -> None:
    """Remove what was fetched, so that nobody goes on with it."""
    target.unlink(missing_ok=True)
    etag_path(target).unlink(missing_ok=True)


def headers(target: Path, start: int) -> dict[str, str]:
    """What to say in a request for the bytes from `start` on, or for the whole of other content."""
    request_headers = {
        "Accept-Encoding": "identity"
    }  # sizes and ranges are those of the file itself
    if start:
        request_headers["Range"] = f"bytes={start}-"
        if etag_path(target).exists():
            request_headers["If-Range"] = etag_path(target).read_text()
    return request_headers
