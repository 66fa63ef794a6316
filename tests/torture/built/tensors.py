"""safetensors: headers that lie about lengths, places, types and shapes."""

import json
import struct
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.torture.built.documents import edits

LENGTHS = st.none() | st.sampled_from([0, 1, 7, 10**8, 10**8 + 1, 2**31, 2**62, 2**64 - 1])


def split(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and values of a file."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def draw(good: Path, _: str) -> Any:
    """Contents of a .safetensors."""
    header, values = split(good.read_bytes())

    def write(text: str, length: int | None, cut: int) -> bytes:
        packed = text.encode("utf-8", "surrogatepass")
        size = len(packed) if length is None else length
        return struct.pack("<Q", size) + packed + values[: len(values) - cut]

    sizes = st.sampled_from([-1, 0, 3, 4, 2**31, 2**40, 2**63])
    entries = st.fixed_dictionaries({
        "dtype": st.sampled_from(["F32", "F64", "F16", "BF16", "I64", "BOOL", "F8_E4M3", "\x1b"]),
        "shape": st.lists(sizes, max_size=40),
        "data_offsets": st.lists(sizes | st.integers(0, len(values)), max_size=3),
    })  # fmt: skip
    made = st.dictionaries(st.text(max_size=5), entries, max_size=4).map(json.dumps)
    return st.builds(write, edits(header) | made, LENGTHS, st.sampled_from([0, 0, 0, 1, 40]))
