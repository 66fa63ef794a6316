"""The conditions that rules of the lint are made of: a closed set, each a name and arguments."""

import math
from collections.abc import Callable
from typing import Any

from stages.export.metis_case import Case


def _numbers(case: Case, term: str) -> list[Any]:
    value = case.value(term)
    return list(value) if isinstance(value, list) else []


def _divides(case: Case, term: str, number: str | int) -> tuple[int, int] | None:
    """Remainder and divisor; None for sizes that are not known."""
    value, divisor = case.value(term), case.value(number) if isinstance(number, str) else number
    if not isinstance(value, int) or not isinstance(divisor, int) or divisor <= 0:
        return None
    return value % divisor, divisor


def _mirrored(case: Case, pads: str) -> bool:
    numbers = _numbers(case, pads)
    half = len(numbers) // 2
    return numbers[:half] == numbers[half:]


def _half_kernel(case: Case, pads: str) -> bool:
    numbers, kernel = _numbers(case, pads), _numbers(case, "kernel")
    return all(2 * pad <= size for pad, size in zip(numbers, kernel, strict=False))


def _area_below(case: Case, bound: int) -> bool:
    kernel = case.value("kernel")
    dilations = case.value("dilations") or [1] * len(kernel)
    sides = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True) if isinstance(k, int)]
    return math.prod(sides) < bound


def _per_channel(case: Case, large: str, small: str) -> bool:
    one, other = case.shape(large), case.shape(small)
    return len(one) == 4 and len(other) == 4 and other[1:] == (one[1], 1, 1)


def _one_per_channel(case: Case, small: str, large: str) -> bool:
    sizes = [size for size in case.shape(small) if size != 1]
    return sizes == list(case.shape(large)[1:2])


def _followed(case: Case, *kinds: str) -> bool:
    return [user.op_type for user in case.facts.users[case.node.output[0]]] == list(kinds)


def _squeezes(case: Case, old: str, new: str) -> bool:
    """Nothing changes but axes of size 1 that go."""
    before, after = ([size for size in case.shape(n) if size != 1] for n in (old, new))
    return before == after and len(case.shape(new)) <= len(case.shape(old))


def _same_factor(case: Case, new: str, old: str) -> bool:
    pairs = list(zip(case.shape(new)[-2:], case.shape(old)[-2:], strict=False))
    return len({a // b for a, b in pairs if isinstance(a, int) and isinstance(b, int)}) <= 1


def _holds(case: Case, term: str, test: Callable[[float], bool]) -> bool:
    value = case.value(term)
    return isinstance(value, int | float) and test(value)


KINDS: dict[str, Callable[..., bool]] = {
    "absent": lambda c, of: c.value(of) is None,
    "alike": lambda c, of: len({*_numbers(c, of)}) <= 1,
    "at_least": lambda c, of, least: _holds(c, of, lambda value: value >= least),
    "constant": lambda c, name: c.facts.constant(c.tensor(name)) is not None,
    "distinct": lambda c, one, other: c.tensor(one) != c.tensor(other),
    "equals": lambda c, of, wanted: c.value(of) in (wanted, [wanted]),
    "first": lambda c: c.node.input[0] not in c.facts.makers,
    "followed_by": _followed,
    "half_kernel": _half_kernel,
    "in_pattern": lambda c, name: c.node.output[0] in c.patterns[name],
    "kernel_area_below": _area_below,
    "last": lambda c: c.node.output[0] in c.facts.outputs,
    "length": lambda c, of, count: len(_numbers(c, of)) == count,
    "mirrored": _mirrored,
    "multiple_of": lambda c, of, number: (_divides(c, of, number) or (1, 1))[0] == 0,
    "near": lambda c, of, wanted, within: _holds(c, of, lambda v: abs(v - wanted) < within),
    "nearly_multiple_of": lambda c, of, number: (
        (found := _divides(c, of, number)) is not None and found[0] in (0, 1, found[1] - 1)
    ),
    "not": lambda c, condition: not holds(c, condition),
    "one_number": lambda c, name: all(size == 1 for size in c.shape(name)),
    "one_of": lambda c, of, *wanted: c.value(of) in wanted,
    "one_per_channel": _one_per_channel,
    "per_channel": _per_channel,
    "same": lambda c, one, other: c.value(one) == c.value(other),
    "same_factor": _same_factor,
    "same_shape": lambda c, one, other: c.shape(one) == c.shape(other),
    "scalar": lambda c, name: c.shape(name) == (),
    "squeezes": _squeezes,
    "zeros": lambda c, of: not any(_numbers(c, of)),
}


def holds(case: Case, condition: dict[str, Any]) -> bool:
    """Whether one condition, a kind and its arguments, is true of a node."""
    ((kind, arguments),) = condition.items()
    return KINDS[kind](case, *(arguments if isinstance(arguments, list) else [arguments]))
