"""XML: entities, files and addresses outside, depth, encodings, namespaces."""

import re
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

LAUGHS = "<!DOCTYPE r [<!ENTITY a0 'ha'>" + "".join(
    f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 11)
) + "]>"  # fmt: skip
HEADS = st.sampled_from([
    "", "", "", LAUGHS, "<!DOCTYPE r SYSTEM '../../outside/secret.xml'>",
    "<!DOCTYPE r [<!ENTITY x SYSTEM '../../outside/secret.txt'>]>",
    "<!DOCTYPE r [<!ENTITY % x SYSTEM 'http://127.0.0.1:9/x'> %x;]>", "<!DOCTYPE r []>",
    "<?xml-stylesheet href='../../outside/secret.xml'?>", "<?php system('id') ?>", "<!-- -- -->",
    "<!DOCTYPE r [<!ENTITY x '" + "x" * 10**6 + "'>]>", "<!DOCTYPE r [<!NOTATION x SYSTEM 'y'>]>",
])  # fmt: skip
BODIES = st.sampled_from([
    "&a9;", "&x;", "&#0;", "&#x202e;", "&#27;[2J", "\x1b[2J", "<a>" * 100_000,
    "<a>" * 50_000 + "</a>" * 50_000, "<xi:include xmlns:xi='http://www.w3.org/2001/XInclude' "
    "href='../../outside/secret.txt' parse='text'/>", "<a " + "b='' " * 2000 + "/>", "<![CDATA[",
    "]]>", "1e999", "nan", "-1", "9" * 5000, "<a xmlns='" + "x" * 10**5 + "'/>", "x" * 10**6,
    "<a b='1' b='2'/>", "0", "-1e308", "", " ", "<!-- x -->", "١٢٣",
])  # fmt: skip
ENCODINGS = st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-16", "utf-7", "cp037", "utf-32"])
NAMES = st.sampled_from(["", "", "", "UTF-7", "idna", "x", "UTF-16", "hex", "unicode_escape"])


def draw(good: Path, _: str) -> Any:
    """Contents of an XML file: the good one with another head and other texts."""
    text = good.read_text()
    inner = [match.span(1) for match in re.finditer(r">([^<>]*)<", text)]
    first = text.find("<", text.find("?>") + 2 if text.startswith("<?xml") else 0)

    def change(head: str, listed: list[tuple[int, str]], coding: str, name: str) -> bytes:
        made = text
        for number, body in sorted(listed, key=lambda one: -inner[one[0] % len(inner)][0]):
            start, stop = inner[number % len(inner)]
            made = made[:start] + body + made[stop:]
        made = f"{made[:first]}{head}{made[first:]}"
        if name:
            made = f'<?xml version="1.0" encoding="{name}"?>' + made[made.find("?>") + 2 :]
        return made.encode(coding, "surrogatepass")

    bodies = st.lists(st.tuples(st.integers(0, 200), BODIES), max_size=3)
    return st.builds(change, HEADS, bodies, ENCODINGS, NAMES)
