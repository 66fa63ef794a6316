"""What a pickle may name and call, and what becomes of it: tensors, or objects that do nothing.

Nothing is ever imported or called by a name from a file. Calls that build tensors are done by the
functions of this module; every other object is a `Inert`, which has a name and no behaviour. What
has no place in weights is refused, so that nobody takes a file with an attack in it for weights.
"""

import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING  # what Python 2 called things
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from shared.weight_files.stored import Storage, Stored

PATHS = ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")
# Of the standard library, which holds all that an attack needs: plain values and containers alone.
PLAIN = {
    "argparse.Namespace", "types.SimpleNamespace", "functools.partial", "typing.Any",
    "collections.OrderedDict", "collections.defaultdict", "collections.Counter",
    "collections.deque", "copyreg._reconstructor", "_codecs.encode", "decimal.Decimal",
    "fractions.Fraction", "uuid.UUID",
    *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")),
    *(f"builtins.{name}" for name in (
        "object", "dict", "list", "tuple", "set", "frozenset", "bytearray", "bytes", "str", "int",
        "float", "bool", "complex", "slice", "range")),
    *(f"{module}.{name}" for module in ("pathlib", "pathlib._local") for name in PATHS),
}  # fmt: skip
# Functions that files call beside the tensors; whether they are called makes no difference to them.
HARMLESS = PLAIN | {
    "torch.device", "torch.serialization._get_layout",
    "torch.nn.backends.thnn._get_thnn_function_backend",  # every module of torch before 1.2
    *(f"torch._utils._rebuild_{kind}" for kind in (
        "sparse_tensor", "sparse_csr_tensor", "qtensor", "nested_tensor", "wrapper_subclass",
        "meta_tensor_no_storage", "device_tensor_from_numpy", "device_tensor_from_cpu_tensor")),
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core")
      for name in ("scalar", "_reconstruct")),
    "numpy.dtype", "numpy.ndarray", "numpy.core.numeric._frombuffer",
    "numpy._core.numeric._frombuffer", "numpy.random._pickle.__randomstate_ctor",
}  # fmt: skip
STORAGES = {
    "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16",
    "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8",
    "ByteStorage": "U8", "BoolStorage": "BOOL", "UntypedStorage": "U8", "_UntypedStorage": "U8",
}  # fmt: skip


@dataclass(frozen=True)
class Name:
    """A class or function that a file names; it is not looked up.

    Attributes:
        path: module and name with dots.
    """

    path: str


@dataclass(eq=False)
class Inert:
    """An object that a file holds beside its tensors.

    Attributes:
        path: name of its class, or of the function that would make it.
        state: what would be its attributes.
        entries: its items, if it is a mapping.
    """

    path: str
    state: Any = None
    entries: dict[Any, Any] = field(default_factory=dict)


def name(module: str, rest: str) -> Name:
    """The name of a class or function.

    Raises:
        ValueError: of the standard library, and no plain value.
    """
    module, rest = NAME_MAPPING.get((module, rest), (IMPORT_MAPPING.get(module, module), rest))
    path = f"{module}.{rest}"
    if module.partition(".")[0] in sys.stdlib_module_names and path not in PLAIN:
        raise ValueError(f"it names {path[:80]!r}, which weights have no use for")
    return Name(path)


def make(kind: Any) -> Any:
    """An object of a class, without arguments: what NEWOBJ does."""
    if not isinstance(kind, Name):
        raise ValueError("an object of no class")
    return {} if kind.path == "collections.OrderedDict" else Inert(kind.path)


def call(function: Any, arguments: Any) -> Any:
    """What a call makes: a tensor, a plain value, or an `Inert`.

    Raises:
        ValueError: a function that has nothing to do with weights, or wrong arguments.
    """
    if not isinstance(function, Name) or not isinstance(arguments, tuple):
        raise ValueError("a call of what is no function")
    if function.path in BUILDERS:
        return BUILDERS[function.path](*arguments)
    a_class = function.path.rpartition(".")[2][:1].isupper()
    if function.path not in HARMLESS and not a_class:
        raise ValueError(f"it calls {function.path[:80]!r}, which weights have no use for")
    return Inert(function.path)


def storage(identity: Any) -> tuple[str, Storage]:
    """Key and content of a persistent id of torch, which stands for a storage.

    Raises:
        ValueError: another persistent id, or a type of values that nothing here reads.
    """
    if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[0] != "storage":
        raise ValueError("a persistent id that is not torch's")
    kind, key, count = identity[1], identity[2], identity[4]
    if not isinstance(kind, Name) or not kind.path.startswith("torch."):
        raise ValueError("a storage of no type")
    code = STORAGES.get(kind.path.rpartition(".")[2])
    if code is None:
        raise ValueError(f"its values are of {kind.path[:80]}, which no network here has")
    if type(key) not in (str, int) or type(count) is not int or not 0 <= count < 2**48:
        raise ValueError("a storage of an impossible size")
    return str(key), Storage(code, count)


def _tensor(
    storage: Storage, start: int, shape: tuple[int, ...], steps: tuple[int, ...], *_: Any
) -> Stored:
    if not isinstance(storage, Storage) or type(shape) is not tuple or type(steps) is not tuple:
        raise ValueError("a tensor without a storage")
    return Stored(storage, start, shape, steps)


def _untyped(*_: Any) -> Inert:
    """torch keeps types that have no class of storage in this way, such as float8."""
    return Inert("torch._utils._rebuild_tensor_v3")


def _first(value: Any = None, *_: Any) -> Any:
    return value


def _subclass(function: Any, _: Any, arguments: Any, *__: Any) -> Any:
    return call(function, arguments)


def _ordered(pairs: Any = (), *_: Any) -> dict[Any, Any]:
    """OrderedDict of Python 2: a list of pairs."""
    made: dict[Any, Any] = {}
    for key, value in pairs if type(pairs) in (list, tuple) else ():
        made[plain_key(key)] = value
    return made


def _reconstruct(kind: Any, *_: Any) -> Any:
    return make(kind)


def _sequence(values: Any = (), *_: Any) -> tuple[Any, ...]:
    return tuple(values) if type(values) in (list, tuple) else ()


def plain_key(key: Any) -> Any:
    """A key that costs nothing to hash: text and numbers are kept, anything else is made unique."""
    if key is None or type(key) in (str, bytes, float, bool):
        return key
    return key if type(key) is int and key.bit_length() < 64 else Inert("a key")


BUILDERS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _untyped,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    **{f"torch.{module}._rebuild_from_type{version}": _subclass
       for module in ("tensor", "_tensor") for version in ("", "_v2")},
    "torch.nn.parameter.Parameter": _first,
    "torch.nn.parameter.Buffer": _first,
    "torch.autograd.variable.Variable": _first,
    "torch.Size": _sequence, "builtins.set": _sequence, "builtins.frozenset": _sequence,
    "copyreg._reconstructor": _reconstruct,
    "collections.OrderedDict": _ordered,
}  # fmt: skip
