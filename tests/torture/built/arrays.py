"""NPY and NPZ: headers that claim what the file does not hold, types of objects, bombs."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

SIZES = st.one_of(
    st.integers(-3, 70),
    st.sampled_from([10**9, 10**12, 2**31, 2**32 + 1, 2**63 - 1, 2**64, 10**40]),
)
KINDS = st.sampled_from([
    "<f8", "<f4", "<f2", "<i8", "<u8", "|u1", "|b1", "<c16", "|O", "O8", "<U1000000000", "|S0",
    "|S2147483647", "|V1000000000", "<M8[s]", "<m8", "float", "object", "x", "", "f4,f4",
    "(1000000000,)f4", ">f8", "<f16",
])  # fmt: skip
SHAPES = st.lists(SIZES, max_size=4).map(tuple)
LAYOUTS = st.recursive(
    KINDS,
    lambda inner: st.lists(st.tuples(st.text(max_size=3), inner), max_size=3),
    max_leaves=6,
)
HEADERS = st.one_of(
    st.builds(
        lambda kind, order, shape: {"descr": kind, "fortran_order": order, "shape": shape},
        LAYOUTS, st.booleans(), SHAPES,
    ).map(repr),
    st.sampled_from([
        "", "{}", "[" * 9000, "(" * 9000 + ")" * 9000, "{'descr': '<f8', 'shape': (3,)}",
        "__import__('os').system('touch ../../outside/secret.txt')", "{'descr': " * 2000,
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), 'x': 1}", "-" * 9000 + "1",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3)}", "9" * 9000, "\0",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1e3,)}",
    ]),
    st.text(max_size=40),
)  # fmt: skip
VERSIONS = st.sampled_from([(1, 0), (1, 0), (2, 0), (3, 0), (9, 9)])


def write(version: tuple[int, int], header: str, length: int | None, values: bytes) -> bytes:
    """A file whose header may lie about its own length."""
    text = header.encode("utf-8", "surrogatepass") + b"\n"
    size = len(text) if length is None else length
    packed = struct.pack("<H", size % 2**16) if version[0] == 1 else struct.pack("<I", size)
    return b"\x93NUMPY" + bytes(version) + packed + text + values


FILES = st.builds(
    write,
    VERSIONS,
    HEADERS,
    st.one_of(st.none(), st.none(), st.sampled_from([0, 1, 2**16 - 1, 2**31, 2**32 - 1])),
    st.binary(max_size=200),
)


def _odd_values(good: Path) -> Any:
    """The array itself, in another type or with other values."""
    array = np.load(good)
    kinds = st.sampled_from(["f2", "f4", "f8", "f16", "i1", "i8", "u1", "b1", "c8"])
    values = st.sampled_from([np.nan, np.inf, -1.0, 1e300, 17.0, 0.5, 2.0**63])

    def change(kind: str, value: float, cut: int) -> bytes:
        with np.errstate(all="ignore"):
            other = array.astype(kind)
            other.flat[: cut % array.size] = np.array(value).astype(kind)
        file = io.BytesIO()
        np.save(file, other[: cut % len(array)] if cut % 3 == 0 else other)
        return file.getvalue()

    return st.builds(change, kinds, values, st.integers(0, array.size))


def draw(good: Path, _: str) -> Any:
    """Contents of a .npy."""
    return st.one_of(FILES, FILES, _odd_values(good))


def draw_archives(good: Path, _: str) -> Any:
    """Contents of a .npz: members of the kinds above, under good names and others."""
    with np.load(good) as loaded:
        names = [f"{name}.npy" for name in loaded.files]
    odd = [
        "../../outside/secret.txt.npy",
        "/etc/passwd",
        "x.npy",
        "a\x1b[2J.npy",
        "\u202e.npy",
        "x",
    ]
    bomb = write((1, 0), repr({"descr": "|u1", "fortran_order": False, "shape": (1, 1, 2**28)}),
                 None, bytes(2**28))  # fmt: skip

    def pack(name: str, content: bytes, method: int, twice: bool) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            archive.writestr(name, content)
            if twice:
                archive.writestr("y.npy", content[:90])
        return file.getvalue()

    packed = {name: pack(name, bomb, zipfile.ZIP_DEFLATED, False) for name in (names[0], "x.npy")}
    members = st.builds(
        pack, st.sampled_from([*names, *odd]), FILES,
        st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]),
        st.booleans(),
    )  # fmt: skip
    bombs = st.builds(
        lambda name, cut: packed[name][: len(packed[name]) - cut],
        st.sampled_from(sorted(packed)), st.integers(0, 3000),
    )  # fmt: skip
    return st.one_of(members, members, members, bombs)
