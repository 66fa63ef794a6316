"""Arrays in files of numpy that others wrote: mapped first, so that no header is believed."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.reading import documents

# Bytes that members of a .npz may unpack to, and how many times its own size where that is more:
# real pictures shrink to a fifth, pictures of one value to a thousandth.
UNPACKED, TIMES = 2**28, 200


def map_array(path: Path) -> NDArray[Any]:
    """The numbers of a .npy file, which stay in the file until they are used.

    Raises:
        ValueError: not a complete .npy file of numbers, or no regular file.
        OSError: it cannot be opened.
    """
    documents.open_regular(path).close()
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        raise
    except Exception as error:  # numpy parses headers as Python, which raises nearly any
        raise ValueError(f"a header that is damaged: {type(error).__name__}") from None
    if isinstance(loaded, np.ndarray):
        return loaded
    loaded.close()
    raise ValueError("several arrays")


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a .npz file by name.

    Raises:
        ValueError: not a complete .npz file of numbers, or one that unpacks to far more than it is.
        OSError: it cannot be opened.
    """
    with documents.open_regular(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                unpacked = sum(info.file_size for info in archive.infolist())
            most = max(UNPACKED, TIMES * path.stat().st_size)
            if unpacked > most:
                raise ValueError(f"expected at most {most:,} bytes unpacked, found {unpacked:,}")
            file.seek(0)
            with np.load(file, allow_pickle=False) as loaded:
                return {name: _check(loaded[name]) for name in loaded.files}
        except (OSError, ValueError):
            raise
        except Exception as error:  # of zip, of each of its ways to pack, and as above
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise ValueError(f"damaged: {reason}") from None


def _check(member: Any) -> NDArray[Any]:
    """A member as numpy gives it: its bytes where its name does not end in .npy."""
    if not isinstance(member, np.ndarray):
        raise ValueError("a member that is no array")
    return member
