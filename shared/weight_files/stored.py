"""Tensors as a file holds them: a type, a shape, a place in a run of bytes; read when needed."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

# By safetensors' names; numpy has no bfloat16, whose bits are kept as whole numbers.
TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<i2", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "<i1", "U8": "<u1", "BOOL": "?",
}  # fmt: skip
AXES = 32  # more than any tensor has
TIMES = 16  # a file may name a tensor so often (layers that share weights), not more
SPARE = 2**26  # bytes on top of that
EXPONENT = 0x7F80  # of a bfloat16; NaN and infinity have all of its bits

Fetch = Callable[[], bytearray]
Opened = IO[bytes]


@dataclass(eq=False)
class Storage:
    """Bytes of one type that one or several tensors share; read once, when first needed.

    Attributes:
        kind: a key of `TYPES`.
        count: values.
        fetch: reads them; given when the place in the file is known.
        place: of the first byte, where the file has the bytes as they are; None elsewhere.
    """

    kind: str
    count: int
    fetch: Fetch | None = None
    place: int | None = None
    read: bytearray | None = field(default=None, repr=False)

    @property
    def bytes(self) -> int:
        """How many there must be."""
        return self.count * np.dtype(TYPES[self.kind]).itemsize

    def values(self) -> NDArray[Any]:
        """(count,) values.

        Raises:
            ValueError: the file has no place for them, or fewer.
        """
        if self.read is None:
            if self.fetch is None:
                raise ValueError("a storage is missing")
            self.read = self.fetch()
        if len(self.read) != self.bytes:
            raise ValueError(f"cut short: {self.bytes} bytes expected, {len(self.read)} there")
        return np.frombuffer(self.read, TYPES[self.kind])


@dataclass(frozen=True, eq=False)
class Stored:
    """A tensor in a file.

    Attributes:
        storage: where its values are.
        start: number of the first one.
        shape: of the tensor.
        steps: values from one index to the next, per axis.

    Raises:
        ValueError: it would reach outside its storage, or has more values than are there.
    """

    storage: Storage
    start: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]

    def __post_init__(self) -> None:
        numbers = (self.start, *self.shape, *self.steps)
        whole = all(type(number) is int and 0 <= number < 2**62 for number in numbers)
        if not whole or len(self.shape) != len(self.steps) or len(self.shape) > AXES:
            raise ValueError("a tensor of an impossible shape")
        last = self.start + sum((n - 1) * s for n, s in zip(self.shape, self.steps, strict=True))
        if self.count and last >= self.storage.count:
            raise ValueError("a tensor that reaches outside its storage")
        if self.count > self.storage.count + 2**20:
            raise ValueError("a tensor with more values than its storage")

    @property
    def count(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """What its values take."""
        return self.count * np.dtype(TYPES[self.storage.kind]).itemsize

    def values(self) -> NDArray[Any]:
        """The values in C order, a view of the storage where that is possible."""
        if not self.count:
            return np.empty(self.shape, TYPES[self.storage.kind])
        flat = self.storage.values()[self.start :]
        steps = [step * flat.itemsize for step in self.steps]
        view = np.lib.stride_tricks.as_strided(flat, self.shape, steps)
        return view if view.flags.c_contiguous else view.copy()

    def read_rows(self, file: Opened, rows: slice) -> NDArray[Any]:
        """The values of some indices of the first axis, read from their place in the file alone.

        A tensor that does not lie there in C order, or is compressed, is read as a whole.

        Args:
            file: the open file.
            rows: start and stop, inside the tensor.

        Raises:
            ValueError: cut short.
        """
        inner = [math.prod(self.shape[axis + 1 :]) for axis in range(len(self.shape))]
        if self.storage.place is None or list(self.steps) != inner:
            return self.values()[rows]
        kind, count = np.dtype(TYPES[self.storage.kind]), (rows.stop - rows.start) * inner[0]
        file.seek(self.storage.place + (self.start + rows.start * inner[0]) * kind.itemsize)
        content = file.read(count * kind.itemsize)
        if len(content) != count * kind.itemsize:
            raise ValueError(f"cut short: {count * kind.itemsize} bytes expected")
        return np.frombuffer(content, kind).reshape(rows.stop - rows.start, *self.shape[1:])


@dataclass(frozen=True)
class Array:
    """A tensor that was read.

    Attributes:
        kind: a key of `TYPES`.
        values: its values; bfloat16 as the whole numbers that its bits are.
    """

    kind: str
    values: NDArray[Any]

    def is_finite(self) -> bool:
        """Whether no value is NaN or infinite."""
        if self.kind == "BF16":
            return not ((self.values & EXPONENT) == EXPONENT).any()
        return bool(np.isfinite(self.values).all())


@dataclass
class Budget:
    """How many bytes may still be read, so that a small file cannot fill the memory."""

    left: int

    @classmethod
    def of_file(cls, size: int) -> "Budget":
        """The budget of a file of ``size`` bytes."""
        return cls(TIMES * size + SPARE)

    def spend(self, count: int) -> None:
        """Take bytes off; ValueError where there are not so many."""
        self.left -= count
        if self.left < 0:
            raise ValueError("its tensors claim many times the size of the file")
