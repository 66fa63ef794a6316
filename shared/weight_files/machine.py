"""Operations of pickle, carried out one by one on values that do nothing.

`pickle.Unpickler` calls what a file says, and allocates what it claims. Here every operation is a
line of this module. What they mean: https://github.com/python/cpython/blob/3.11/Lib/pickletools.py
"""

from collections.abc import Callable
from typing import Any

from shared.weight_files import objects
from shared.weight_files.objects import Inert, Name
from shared.weight_files.stored import Storage, Stored

MARK = Inert("a mark")
VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING",
    "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
    "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_LIST": list, "EMPTY_SET": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict,
    "MARK": lambda: MARK,
}  # fmt: skip
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
GETS, PUTS = ("GET", "BINGET", "LONG_BINGET"), ("PUT", "BINPUT", "LONG_BINPUT")


class Machine:
    """A stack and a memory of values.

    Args:
        persistent: what a persistent id stands for; without it there must be none.
        steps: how much work may be done.
    """

    def __init__(self, persistent: Callable[[Any], Storage | Name] | None, steps: int) -> None:
        self.stack: list[Any] = []
        self.memory: dict[int, Any] = {}
        self.persistent, self.steps = persistent, steps

    def spend(self, steps: int) -> None:
        """Count work that is done; ValueError when it is more than weights need."""
        self.steps -= steps
        if self.steps < 0:
            raise ValueError("it has far more operations than weights need")

    def do(self, name: str, argument: Any) -> None:
        """One operation by the name that pickletools gives it."""
        if name in VALUES:
            self.stack.append(argument)
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name]())
        elif name in TUPLES:
            self.stack.append(tuple(self.pop_several(TUPLES[name])))
        elif name in PUTS:
            self.memory[argument] = self.top()
        elif name in GETS:
            self.recall(argument)
        elif operation := getattr(self, f"_do_{name.lower()}", None):
            operation(argument)
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"an operation {name}, which files of torch do not have")

    # --- the stack --------------------------------------------------------------------------------
    def pop(self) -> Any:
        """The last value, taken off."""
        if not self.stack or self.stack[-1] is MARK:
            raise ValueError("a pickle that takes what it has not put")
        return self.stack.pop()

    def top(self) -> Any:
        """The last value, left where it is."""
        self.stack.append(self.pop())
        return self.stack[-1]

    def pop_several(self, count: int) -> list[Any]:
        """The last values in their order."""
        return [self.pop() for _ in range(count)][::-1]

    def pop_to_mark(self) -> list[Any]:
        """The values since the last mark, in their order."""
        values = []
        while self.stack and self.stack[-1] is not MARK:
            values.append(self.stack.pop())
        if not self.stack:
            raise ValueError("a pickle without a mark")
        self.stack.pop()
        return values[::-1]

    def recall(self, number: int) -> None:
        """Put a value of the memory on the stack."""
        if number not in self.memory:
            raise ValueError("a pickle that recalls what it has not kept")
        self.stack.append(self.memory[number])

    def _do_memoize(self, _: Any) -> None:
        self.memory[len(self.memory)] = self.top()

    def _do_pop(self, _: Any) -> None:
        if not self.stack:
            raise ValueError("a pickle that takes what it has not put")
        self.stack.pop()

    def _do_pop_mark(self, _: Any) -> None:
        self.pop_to_mark()

    def _do_dup(self, _: Any) -> None:
        self.stack.append(self.top())

    # --- containers -------------------------------------------------------------------------------
    def _do_tuple(self, _: Any) -> None:
        self.stack.append(tuple(self.pop_to_mark()))

    def _do_list(self, _: Any) -> None:
        self.stack.append(self.pop_to_mark())

    _do_frozenset = _do_list

    def _do_dict(self, _: Any) -> None:
        values = self.pop_to_mark()
        self.stack.append({})
        self.put(values)

    def _do_append(self, _: Any) -> None:
        self.extend([self.pop()])

    def _do_appends(self, _: Any) -> None:
        self.extend(self.pop_to_mark())

    _do_additems = _do_appends

    def _do_setitem(self, _: Any) -> None:
        self.put(self.pop_several(2))

    def _do_setitems(self, _: Any) -> None:
        self.put(self.pop_to_mark())

    def extend(self, values: list[Any]) -> None:
        """Append to the list on the stack; another object, such as a deque, does not keep them."""
        if type(self.top()) is list:
            self.top().extend(values)
        elif not isinstance(self.top(), Inert):
            raise ValueError("a pickle that appends to what is no list")

    def put(self, values: list[Any]) -> None:
        """Keys and values in turn, into the mapping on the stack."""
        target = self.top()
        entries = target.entries if isinstance(target, Inert) else target
        if type(entries) is not dict or len(values) % 2:
            raise ValueError("a pickle that sets items of what is no mapping")
        for key, value in zip(values[::2], values[1::2], strict=True):
            entries[objects.plain_key(key)] = value

    # --- names and objects ------------------------------------------------------------------------
    def _do_global(self, argument: str) -> None:
        self.stack.append(objects.name(*argument.split(" ", 1)))

    def _do_stack_global(self, _: Any) -> None:
        module, rest = self.pop_several(2)
        if type(module) is not str or type(rest) is not str:
            raise ValueError("a pickle with a name that is no text")
        self.stack.append(objects.name(module, rest))

    def _do_newobj(self, _: Any) -> None:
        self.stack.append(objects.make(self.pop_several(2)[0]))

    def _do_newobj_ex(self, _: Any) -> None:
        self.stack.append(objects.make(self.pop_several(3)[0]))

    def _do_reduce(self, _: Any) -> None:
        function, arguments = self.pop_several(2)
        if type(arguments) is tuple:  # a list that is copied again and again is work, too
            self.spend(sum(len(value) for value in arguments if type(value) in (list, tuple)))
        self.stack.append(objects.call(function, arguments))

    def _do_obj(self, _: Any) -> None:
        kind, *arguments = self.pop_to_mark() or [None]
        self.stack.append(objects.call(kind, tuple(arguments)))

    def _do_inst(self, argument: str) -> None:
        arguments = self.pop_to_mark()
        self.stack.append(objects.call(objects.name(*argument.split(" ", 1)), tuple(arguments)))

    def _do_build(self, _: Any) -> None:
        state = self.pop()
        if isinstance(target := self.top(), Inert):
            target.state = state
        elif not isinstance(target, dict | Stored):  # their attributes are no tensors
            raise ValueError("a pickle that gives attributes to a plain value")

    def _do_persid(self, argument: str) -> None:
        raise ValueError("a persistent id that is not torch's")

    def _do_binpersid(self, _: Any) -> None:
        if self.persistent is None:
            raise ValueError("a persistent id outside the weights")
        self.stack.append(self.persistent(self.pop()))
