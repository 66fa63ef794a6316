"""Files of torch.save: attacks and bombs of the tests of weights, and programs drawn at random."""

import io
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.shared import test_hostile_weights as known
from tests.torch_files import mapping, number, tensor, text, write

MARK = Path("../../outside/secret.txt")
GLOBALS = st.sampled_from([
    b"cos\nsystem\n", b"cposix\nsystem\n", b"cbuiltins\neval\n", b"c__builtin__\nexec\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n", b"ctorch\nload\n",
    b"ccollections\nOrderedDict\n", b"csubprocess\nPopen\n", b"cbuiltins\ngetattr\n",
    b"ctorch.nn.modules.linear\nLinear\n", b"cnumpy.core.multiarray\n_reconstruct\n",
    b"ctorch._utils\n_rebuild_parameter\n", b"cpickle\nloads\n", b"c\n\n", b"cos\n\x1b[2J\n",
])  # fmt: skip
PIECES = st.one_of(
    GLOBALS,
    st.sampled_from([text("touch ../../outside/secret.txt"), text("state_dict"), text("a.weight"),
                     text(""), text("\x1b[2J"), text("storage"), text("cpu"), text("0")]),
    st.integers(-(2**70), 2**70).map(number),
    st.sampled_from([b"(", b"t", b"l", b"d", b"}", b")", b"]", b"R", b"b", b"o", b"Q", b"q\x00",
                     b"h\x00", b"\x85", b"\x86", b"\x87", b"s", b"u", b"a", b"e", b"0", b"1", b"2",
                     b"N", b"\x88", b"\x89", b"\x81", b"\x93", b"\x94", b".", b"\x92", b"\x95",
                     b"G" + struct.pack(">d", 1e300), b"\x8f", b"\x90", b"\x91", b"\x97", b"\x98"]),
    st.binary(max_size=6),
)  # fmt: skip
PROGRAMS = st.lists(PIECES, max_size=25).map(b"".join)
AXES = st.lists(st.sampled_from([0, 1, 3, 4, -1, 2**31, 2**40, 2**62]), max_size=4).map(tuple)
TENSORS = st.builds(
    lambda count, shape, steps, start: mapping(
        {"a.weight": tensor("0", count, shape, steps, start)}
    ),
    st.sampled_from([0, 12, 13, 2**31, 2**62, -1]), AXES, AXES, st.sampled_from([0, 1, -1, 2**62]),
)  # fmt: skip
VALUES = {"a.weight": np.arange(12, dtype=np.float32)}


def _attack(name: str, legacy: bool, beside: bool) -> bytes:
    """One of the attacks by name, alone or beside others."""
    made = known.attacks(MARK)[name]
    return _pack(mapping({"x": made, "y": made}) if beside else made, legacy)


def _pack(operations: bytes, legacy: bool) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return write(Path(folder, "w"), operations, VALUES, legacy).read_bytes()


def _archive(names: list[str], program: bytes, method: int, size: int) -> bytes:
    """An archive of odd members, one of which may unpack to far more than it is."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name in dict.fromkeys(names):
            archive.writestr(name, program if name.endswith("pkl") else bytes(size))
    return file.getvalue()


MEMBERS = st.lists(
    st.sampled_from(["archive/data.pkl", "data.pkl", "../../outside/data.pkl", "a/data/0", "a/\x1b",
                     "archive/data/0", "archive/byteorder", "archive/version", "constants.pkl"]),
    min_size=1, max_size=5,
)  # fmt: skip


def draw(_: Path, __: str) -> Any:
    """Contents of a .pth."""
    return st.one_of(
        st.builds(_attack, st.sampled_from(known.NAMES), st.booleans(), st.booleans()),
        st.builds(_pack, PROGRAMS, st.booleans()),
        st.builds(_pack, TENSORS, st.booleans()),
        st.builds(
            _archive, MEMBERS, PROGRAMS.map(lambda made: b"\x80\x02" + made + b"."),
            st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
            st.sampled_from([0, 48, 10**6]),
        ),
    )  # fmt: skip
