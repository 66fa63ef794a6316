"""Files of weights as arrays by name: safetensors, torch's archives, torch's files before 1.6."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from shared.errors import StageError
from shared.weight_files import keys, safetensors_file, torch_file
from shared.weight_files.stored import Array, Budget, Stored

EXPECTED = "expected weights (.safetensors, or .pth with nothing but tensors)"
PICKLE, ZIP = b"\x80", b"PK\x03\x04"
# What people have under the name of weights, by the bytes that it begins with.
OTHERS = {
    b"\x1f\x8b": "a file compressed with gzip; gunzip it first",
    b"BZh": "a file compressed with bzip2; bunzip2 it first",
    b"\xfd7zXZ": "a file compressed with xz; unxz it first",
    b"\x28\xb5\x2f\xfd": "a file compressed with zstd; unzstd it first",
    b"7z\xbc\xaf": "a 7z archive; unpack it first",
    b"Rar!": "a RAR archive; unpack it first",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, such as Keras writes",
    b"\x93NUMPY": "a NumPy array without names",
    b"version https://git-lfs": "a Git LFS pointer; git lfs pull fetches the file",
    b"GGUF": "a GGUF file",
    b"MATLAB": "a MATLAB file",
    b"%PDF": "a PDF document",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
}
TAR = 257  # where a tar archive says that it is one
WEB = (b"<!doctype", b"<html", b"<?xml", b"<head")
HEAD = 512  # bytes that tell


@dataclass
class Weights:
    """What a file has.

    Attributes:
        arrays: by name.
        chosen: from where in the file they are.
    """

    arrays: dict[str, Array]
    chosen: keys.Chosen


def read(path: Path, key: str = "", modules: bool = False) -> Weights:
    """The weights of a file, told by its content and not by its name; each byte is read once.

    Args:
        path: any file.
        key: keys that lead to the weights, with dots; "" to go by `keys.WRAPPERS`.
        modules: whether a pickled module is taken for the state dict that it would give.

    Raises:
        StageError: no such file, cut short, NaN in it, or no rule says what in it the weights are.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            chosen = keys.choose(_open(file, size), key, modules)
            budget = Budget.of_file(size)
            budget.spend(sum(tensor.bytes for tensor in chosen.tensors.values()))
            arrays = {
                name: Array(tensor.storage.kind, tensor.values())
                for name, tensor in chosen.tensors.items()
            }
    except keys.ModuleError as error:
        raise StageError(_advise_conversion(path, str(error))) from None
    except keys.UnclearError as error:
        raise StageError(f"{path}: {EXPECTED}, {error}{_advise_key(error)}") from None
    except Exception as error:  # a damaged file makes the readers of its parts raise nearly any
        raise StageError(f"{path}: {EXPECTED}, found neither ({_reason(error)})") from None
    if bad := next((name for name, array in arrays.items() if not array.is_finite()), None):
        raise StageError(f"{path}: NaN or infinite values in {keys.join([bad])}")
    return Weights(arrays, chosen)


def open_tensor(file: IO[bytes], path: Path, *, check: bool) -> Stored:
    """The one tensor of a file, such as torch.save(tensor) writes; its values are read later.

    Args:
        file: open for reading; it stays open as long as values are read.
        path: its name, for messages.
        check: whether the checksums of an archive are compared now, block by block, because
            `read_rows` reads without them.

    Raises:
        StageError: cut short, damaged, or not one tensor.
    """
    try:
        value = _open(file, path.stat().st_size)
        if not isinstance(value, Stored):
            raise ValueError("no tensor by itself")
        file.seek(0)
        if check and file.read(len(ZIP)) == ZIP and (bad := zipfile.ZipFile(file).testzip()):
            raise ValueError(f"a wrong checksum of {bad[:40]}")
    except Exception as error:  # a damaged file makes the readers of its parts raise nearly any
        expected = "expected one tensor of torch.save"
        raise StageError(f"{path}: {expected}, found none ({_reason(error)})") from None
    return value


def _open(file: IO[bytes], size: int) -> Any:
    """The value in a file, whose tensors are not read yet."""
    head = file.read(HEAD)
    file.seek(0)
    if safetensors_file.begins(head):  # first: its length may begin with the bytes of any other
        return safetensors_file.open_tensors(file, size)
    if what := describe(head):
        raise ValueError(what)
    if head.startswith(ZIP):
        return torch_file.open_archive(file, size)
    if head.startswith(PICKLE):
        return torch_file.open_legacy(file, size)
    raise ValueError("bytes of no known kind")


def describe(head: bytes) -> str:
    """What a file is that holds no weights, for a message; "" where nothing says it.

    Args:
        head: the first `HEAD` bytes, or all there are.
    """
    if not head:
        return "an empty file"
    for start, what in OTHERS.items():
        if head.startswith(start):
            return what
    if head[TAR : TAR + 5] == b"ustar":
        return "a tar archive; unpack it first"
    if head.lstrip().lower().startswith(WEB):
        return "a web page, such as a server sends instead of a file"
    if head[:1] == b"\x08" and len(head) > 2 and head[1] < 32 and head[2] in (0x12, 0x3A, 0x42):
        return "an ONNX model"
    if not head.strip(b"\0"):
        return "a file that begins with zeros alone, as an interrupted copy leaves it"
    return "text" if _is_text(head) else ""


def _is_text(head: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\n\r" for byte in head) and head.isascii()


def _reason(error: Exception) -> str:
    """What was wrong, in a few words that a terminal can show."""
    line = str(error).partition("\n")[0][:160]
    said = line if isinstance(error, ValueError | OSError | zipfile.BadZipFile) else ""
    said = said or type(error).__name__
    return said if said.isprintable() else ascii(said)


def _advise_conversion(path: Path, kind: str) -> str:
    made = f"data/weights/{path.stem}.safetensors"
    return (
        f"{path}: {EXPECTED}, found a pickled module ({kind[:80]}); this converts it and runs "
        f"nothing in it: weights --src {path} --dst {made}"
    )


def _advise_key(error: keys.UnclearError) -> str:
    several = "(with tensors)" in str(error)
    return "; weights --src FILE --key NAME takes one of them" if several else ""
