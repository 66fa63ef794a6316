"""Errors that the caller can correct: a stage's own, and those of the operating system."""

import errno
import os
import re


class StageError(Exception):
    """The caller's mistake: shown as one line ``error: where: expected, found``; exit code 2."""


class RetryableError(StageError):
    """No mistake, such as a broken connection: finished work is kept and a later run continues."""


# Errors that come from the caller's volume, paths or permissions.
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
GONE = {errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ENOTCONN, errno.EHOSTDOWN}
VOLUME_ERRORS = (
    FULL
    | GONE
    | {
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ENAMETOOLONG,
        errno.ELOOP,
    }
)
# Python and matplotlib where there is no place for temporary files.
NO_FOLDER = re.compile("usable temporary directory|writable cache directory")
# numpy gives no error number when a file cannot grow.
SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")


def explain_os_error(error: BaseException) -> str | None:
    """The reason in words when the volume, a path or permissions are at fault, otherwise None.

    HDF5 gives the error number only inside its text.
    """
    text = str(error)
    if isinstance(error, OSError) and SHORT_WRITE.search(text):
        return f"{os.strerror(errno.ENOSPC)} ({text})"
    if isinstance(error, OSError) and NO_FOLDER.search(text):
        return (
            "no folder for temporary files: set TMPDIR to one that can be written "
            "(in a container: --tmpfs /tmp)"
        )
    code = _find_code(error)
    if code is None:
        return None
    where = getattr(error, "filename", None)
    return os.strerror(code) + (f" ({where})" if where else "")


def advise(error: BaseException) -> str:
    """What to do about an error that `explain_os_error` explains."""
    code = _find_code(error)
    if code in GONE:
        return "bring the volume back"
    full = code in FULL or SHORT_WRITE.search(str(error))
    return "make room" if full else "make it writable again"


def _find_code(error: BaseException) -> int | None:
    number = error.errno if isinstance(error, OSError) else None
    text = str(error)
    return next((n for n in VOLUME_ERRORS if n == number or f"errno = {n}," in text), None)
