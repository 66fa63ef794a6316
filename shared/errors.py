"""What a caller can mend: the exception of a stage, and what the operating system refuses."""

import errno
import os
import re


class StageError(Exception):
    """The caller's mistake: shown as one line ``error: where: expected, found``; exit code 2."""


class Unfinished(StageError):
    """Nobody's mistake, such as a broken connection: what is done is kept, a later run goes on."""


# What the operating system says when the caller's volume, paths or rights are at fault.
VOLUME = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EFBIG,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
}
# numpy and the C library under it say no number when a file cannot grow.
SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")


def explain_os_error(error: BaseException) -> str | None:
    """Why the volume refused, or None for another error; HDF5 hides the number in its text."""
    text = str(error)
    if isinstance(error, OSError) and SHORT_WRITE.search(text):
        return f"{os.strerror(errno.ENOSPC)} ({text})"
    number = error.errno if isinstance(error, OSError) else None
    found = next((n for n in VOLUME if n == number or f"errno = {n}," in text), None)
    if found is None:
        return None
    where = getattr(error, "filename", None)
    return os.strerror(found) + (f" ({where})" if where else "")
