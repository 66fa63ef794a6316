"""JSON and YAML: one or two places of the good document replaced, nesting, anchors, objects."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

DEEP = 50_000  # levels, where Python stops at 1,000
# As they are written: json.dumps cannot write all of them.
RAW = st.sampled_from([
    "[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP, "[" * DEEP, "1e999", "-1e999",
    "NaN", "Infinity", "9" * 400, "9" * 5000, "-0", '"\\u0000"', '"\\ud800"', '"\\u001b[2J"',
    '"\\u202e"',
    '"../../outside/secret.onnx"', '"../../outside/secret.txt"', '"/etc/passwd"', '"/dev/zero"',
    '"\\n"', '""', '" "', "[]", "{}", "[[]]", "[null]", "true", "false", "null", "0", "1", "-1",
    "2", "0.5", "1e-300", "1e300", "4294967296", "2147483648", "9223372036854775808", "[1,2,3]",
    '"' + "x" * 100_000 + '"', '["' + '","'.join(["x"] * 20_000) + '"]', '{"__class__":"os"}',
])  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)
)  # fmt: skip
VALUES = st.one_of(
    RAW,
    RAW,
    st.recursive(
        LEAVES,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
        ),
        max_leaves=8,
    ).map(json.dumps),
)
MARK = "\x00place {}\x00"


def list_places(document: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Keys and numbers that lead to each entry of a document; of long lists the first two."""
    yield place
    entries: Any = []
    if isinstance(document, dict):
        entries = document.items()
    elif isinstance(document, list):
        entries = enumerate(document[:2])
    for key, value in entries:
        yield from list_places(value, (*place, key))


def replace(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    """The document with another value at a place, or unchanged where it has gone."""
    if not place:
        return value
    try:
        inner = document
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
    except (KeyError, IndexError, TypeError):
        pass
    return document


def remove(document: Any, place: tuple[Any, ...]) -> Any:
    """The document without a place."""
    try:
        inner = document
        for key in place[:-1]:
            inner = inner[key]
        del inner[place[-1]]
    except (KeyError, IndexError, TypeError):
        pass
    return document


def edits(document: Any) -> Any:
    """Texts of JSON documents that differ from the good one in one to three places."""
    places = st.sampled_from(list(list_places(document)))
    changes = st.lists(st.tuples(places, st.none() | VALUES), min_size=1, max_size=3)

    def change(listed: list[tuple[tuple[Any, ...], str | None]]) -> str:
        made, texts = copy.deepcopy(document), {}
        for number, (place, value) in enumerate(listed):
            if value is None:
                made = remove(made, place)
                continue
            texts[json.dumps(MARK.format(number))] = value
            made = replace(made, place, MARK.format(number))
        text = json.dumps(made)
        for mark, value in texts.items():
            text = text.replace(mark, value)
        return text

    return st.builds(change, changes)


def draw(good: Path, _: str) -> Any:
    """Contents of a JSON file."""
    whole = st.one_of(VALUES, st.text(max_size=30)).map(
        lambda text: text.encode("utf-8", "surrogatepass")
    )
    encoded = st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8", "utf-16", "utf-8-sig"])
    edited = st.builds(
        lambda text, name: text.encode(name, "surrogatepass"),
        edits(json.loads(good.read_text())), encoded,
    )  # fmt: skip
    return st.one_of(edited, edited, edited, whole)


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
OBJECTS = (
    "!!python/object/apply:os.system ['touch ../../outside/secret.txt']",
    "!!python/object/new:os.system ['touch ../../outside/secret.txt']",
    "!!python/name:os.system", "!!python/module:os", "!!python/tuple [1, 2]", "!!binary x",
    "!!timestamp 2020-99-99", "2020-13-45", "!!int x", "!!float x", "!!set {1, 2}", "!x y",
    "&a [*a]", "&a {b: *a}", "*nothing", "*a9", "[*a9, *a9]", "{<<: *a9}", "{<<: [1]}", "? [1]: 2",
    "0x" + "f" * 2000, "1:99:99:99", ".inf", ".nan", "{}", "[]", "''", "'\\x1b[2J'", "~",
    "$AXELERA_FRAMEWORK/customers/x/../../../outside/secret.txt", "../../outside/secret.txt",
    "/etc/passwd", "[" * 3000, "{a: " * 3000, "- " * 3000, "|\n  x", "\t",
)  # fmt: skip


def draw_yaml(good: Path, _: str) -> Any:
    """Contents of a YAML file: JSON with places replaced, and what only YAML has."""
    import yaml

    document = json.loads(json.dumps(yaml.safe_load(good.read_text()), default=str))
    tokens = st.sampled_from(OBJECTS) | VALUES

    def change(listed: list[tuple[tuple[Any, ...], str]], laughs: bool) -> bytes:
        made, texts = copy.deepcopy(document), {}
        for number, (place, value) in enumerate(listed):
            texts[f"'place {number} of it'"] = value
            made = replace(made, place, f"place {number} of it")
        text = yaml.safe_dump(made, sort_keys=False, default_style=None)
        for mark, value in texts.items():
            text = text.replace(mark.strip("'"), value)
        return (LAUGHS * laughs + text).encode("utf-8", "surrogatepass")

    places = st.sampled_from(list(list_places(document)))
    changes = st.lists(st.tuples(places, tokens), min_size=1, max_size=2)
    return st.builds(change, changes, st.booleans())
