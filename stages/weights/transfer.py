"""Fetching one file over HTTP(S): goes on where it stopped, says in one line what is wrong."""

import re
import ssl
import time
from pathlib import Path
from typing import Any

import requests

from shared import progress
from shared.errors import RetryableError, StageError
from stages.weights import hosts, partial_file

BLOCK = 2**18  # bytes on disk at a time: a killed run loses less than this
WAITS = (1.0, 2.0, 4.0)  # seconds before each further try that nothing came of
TIMEOUT = (15.0, 60.0)  # seconds to connect, seconds without a byte
BUSY = {408, 425, 429, 500, 502, 503, 504}  # worth another try


class _BrokenOffError(Exception):
    """The connection ended, or the server cannot answer now."""


def fetch(url: str, target: Path, size: int | None) -> None:
    """Download to a file; bytes that are there already are not fetched again.

    Args:
        url: http or https.
        target: file to write or to go on with; beside it lies the server's mark of the content,
            so that nobody goes on with another content of the same place.
        size: bytes that it must have, None where unknown.

    Raises:
        StageError: there is no such file, it has another size, the server is not trusted, or it
            leads to a host where it has no business.
        RetryableError: no connection, or it broke off again and again; a later call goes on.
    """
    waits = list(WAITS)
    with requests.Session() as session:
        # The bundle that this machine trusts (SSL_CERT_FILE), else the one that requests brings.
        session.verify = ssl.get_default_verify_paths().cafile or True
        for scheme in ("http://", "https://"):
            session.mount(scheme, hosts.HostAdapter(url))
        while True:
            before = partial_file.count_bytes(target)
            try:
                _attempt(session, url, target, size)
                partial_file.etag_path(target).unlink(missing_ok=True)
                return
            except _BrokenOffError as error:
                if partial_file.count_bytes(target) > before:
                    waits = list(WAITS)
                if not waits:
                    raise RetryableError(f"{url}: {error}; the same command continues from here, "
                                     "--mirror takes it from another place") from None  # fmt: skip
                time.sleep(waits.pop(0))


def _attempt(session: requests.Session, url: str, target: Path, size: int | None) -> None:
    """One request, from the first missing byte on."""
    start = partial_file.count_bytes(target)
    if size is not None and start >= size:
        if start == size:
            return
        partial_file.discard(target)
        start = 0
    try:
        with session.get(
            url, headers=partial_file.headers(target, start), stream=True, timeout=TIMEOUT
        ) as answer:
            _check(url, answer)
            _receive(url, answer, target, start, size)
    except requests.exceptions.SSLError as error:
        raise StageError(f"{url}: the server's certificate is not trusted ({_reason(error)}); "
                         "SSL_CERT_FILE names a file of those to trust") from None  # fmt: skip
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError,
            requests.exceptions.ContentDecodingError) as error:  # fmt: skip
        raise _BrokenOffError(f"no connection ({_reason(error)})") from None
    except requests.RequestException as error:
        raise StageError(f"{url}: {_reason(error)}") from None


def _check(url: str, answer: requests.Response) -> None:
    status = f"HTTP {answer.status_code} {answer.reason}"
    if answer.status_code in BUSY:
        raise _BrokenOffError(status)
    if answer.status_code not in (200, 206, 416):
        raise StageError(f"{url}: expected a file, found {status}")
    if answer.headers.get("Content-Type", "").startswith("text/html") and answer.status_code != 416:
        raise StageError(f"{url}: expected a file, found a web page")


def _receive(
    url: str, answer: requests.Response, target: Path, start: int, size: int | None
) -> None:
    """Append the answer to what is there, or begin anew where the server does not go on."""
    first, total = _range(answer)
    if answer.status_code == 416 and total == start:
        return  # all of it was there
    if answer.status_code == 416 or first not in (0, start):
        partial_file.discard(target)
        raise _BrokenOffError("the server does not go on where the file ends")
    if size is not None and total not in (None, size):
        partial_file.discard(target)
        raise StageError(f"{url}: expected {size} bytes, found {total}")
    if first == 0:
        partial_file.discard(target)
        etag = answer.headers.get("ETag", "")
        if etag.startswith('"'):  # a weak one does not vouch for every byte
            partial_file.etag_path(target).write_text(etag)
    done = _append(answer, target, first, total)
    if total is not None and done != total:
        raise _BrokenOffError(f"broke off after {done} of {total} bytes")


def _range(answer: requests.Response) -> tuple[int, int | None]:
    """Where the answer begins, -1 for nowhere; the bytes of the whole file, None where not said."""
    if answer.status_code == 200:
        length = answer.headers.get("Content-Length", "")
        return 0, int(length) if length.isdigit() else None
    said = answer.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", said)
    if not match:
        return -1, None
    return int(match[1] or -1), int(match[2]) if match[2] != "*" else None


def _append(answer: requests.Response, target: Path, first: int, total: int | None) -> int:
    """Write as it comes; the bytes that the file has then."""
    with (
        target.open("ab") as file,
        progress.bar(total or 0, target.stem, unit="B", done=first) as bar,
    ):
        for block in answer.iter_content(BLOCK):
            file.write(block)
            file.flush()
            bar.update(len(block))
        return file.tell()


def _reason(error: Exception) -> str:
    """The innermost reason, without the addresses of objects around it."""
    inner: Any = error
    while getattr(inner, "args", None) and isinstance(
        getattr(inner, "reason", None) or inner.args[-1], Exception
    ):
        inner = getattr(inner, "reason", None) or inner.args[-1]
    text = re.sub(r"<[^>]*>:? ?|^\w+\(.*\): ", "", str(inner))
    return " ".join(text.split()) or type(inner).__name__
