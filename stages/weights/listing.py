"""The published files that stages/*/weights.txt list, by name."""

import re
from dataclasses import dataclass
from pathlib import Path

from shared.errors import StageError

STAGES = Path(__file__).resolve().parents[1]
UNKNOWN = "unknown"
PAGE = "page:"  # before a url: what is there is no file but a page, for people
COLUMNS = ("file", "scale", "bytes", "sha256", "licence", "url")
FORMS = (
    r"[\w.-]+\.(pth|pt|pth\.tar|safetensors)",
    r"[2-9](,[2-9])*",
    rf"{UNKNOWN}|[1-9]\d*",
    rf"{UNKNOWN}|[0-9a-f]{{8,64}}",
    r"[\w.+-]+",
    rf"({PAGE})?https://\S+",
)


@dataclass(frozen=True)
class Published:
    """One published file.

    Attributes:
        name: under which it is published, and kept.
        scales: factors on height and width that it is for.
        size: bytes, or None where nobody said.
        sha256: hexadecimal digits, the first eight or more of the 64; "" where none are known.
        licence: of the weights, an SPDX name.
        url: where its authors keep it; with PAGE before it, where a person finds it.
    """

    name: str
    scales: tuple[int, ...]
    size: int | None
    sha256: str
    licence: str
    url: str

    def line(self, size: int, sha256: str) -> str:
        """The line of weights.txt with what is known of the file now."""
        scale = ",".join(map(str, self.scales))
        return f"{self.name}  {scale}  {size}  {sha256}  {self.licence}  {self.url}"


def parse(path: Path) -> list[Published]:
    """The files of one list, in its order; a line that begins with # is a comment.

    Raises:
        StageError: a line that is not six words of the right form.
    """
    lines = enumerate(path.read_text().splitlines(), 1)
    return [
        _published(f"{path}: line {number}", line.split())
        for number, line in lines
        if line.strip() and not line.startswith("#")
    ]


def _published(where: str, words: list[str]) -> Published:
    if len(words) != len(COLUMNS):
        expected = " ".join(COLUMNS)
        raise StageError(f"{where}: expected {len(COLUMNS)} words ({expected}), found {len(words)}")
    for column, form, word in zip(COLUMNS, FORMS, words, strict=True):
        if not re.fullmatch(form, word):
            raise StageError(f"{where}: {column}: expected {form}, found {word!r}")
    name, scale, size, sha256, licence, url = words
    return Published(
        name,
        tuple(int(factor) for factor in scale.split(",")),
        None if size == UNKNOWN else int(size),
        "" if sha256 == UNKNOWN else sha256,
        licence,
        url,
    )


def published(stages: Path = STAGES) -> dict[str, Published]:
    """Every listed file by name; two methods may share one.

    Raises:
        StageError: a wrong line, or two lists that say different things of one file.
    """
    found: dict[str, Published] = {}
    for path in sorted(stages.glob("*/weights.txt")):
        for entry in parse(path):
            if found.setdefault(entry.name, entry) != entry:
                raise StageError(f"{path}: {entry.name}: another list says otherwise of it")
    return found


def entry(name: str) -> Published:
    """One listed file.

    Raises:
        StageError: not listed; says which are.
    """
    known = published()
    if name not in known:
        raise StageError(f"--name: expected one of {', '.join(sorted(known))}, found {name!r}")
    return known[name]
