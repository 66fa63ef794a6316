"""One product of the pipeline."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from shared.errors import StageError

Flags = tuple[str, ...]  # words of a command line
SPECIAL = re.compile(r"[\s:;#%$*?|]")  # what make reads as something else in the name of a file


@dataclass(frozen=True)
class Product:
    """A file or folder that one stage makes.

    Attributes:
        stage: hyphenated name.
        path: file or folder, relative to the repository.
        inputs: paths of the products that it is made from.
        flags: of the stage, without --dst.
        raw: files that people provide, which it is made from as well.
        in_all: whether `make all` makes it.
        verbs: further verbs that make it, besides its stage's.
        aside: whether `make STAGE` leaves it out, because another product or verb asks for it.
        renewed: whether an existing one is replaced; only the report is.
        mount: folder outside data/ that a container sees at /mirror.
        own: flags that win over its others and over those that settings have for its stage.
    """

    stage: str
    path: str
    inputs: tuple[str, ...] = ()
    flags: Flags = ()
    raw: tuple[str, ...] = ()
    in_all: bool = False
    verbs: tuple[str, ...] = ()
    aside: bool = False
    renewed: bool = False
    mount: str = ""
    own: Flags = ()

    @property
    def record(self) -> str:
        """Its record, which make looks at."""
        return self.path + ".run.json"


def check_folder(variable: str, folder: str) -> None:
    """Refuse a folder that a variable of make names and that a rule cannot.

    Raises:
        StageError: there is none of this name, or make would read it as something else.
    """
    if not Path(folder).is_dir():
        raise StageError(f"{variable}: no such folder: {folder}")
    if SPECIAL.search(folder):
        raise StageError(
            f"{variable}: make wants a path without spaces and :;#%$*?|, found {folder!r}; "
            "rename it, or run the stage itself"
        )


def check_names(products: Iterable[Product]) -> None:
    """Refuse names that a variable of make brought into a rule and that make reads otherwise.

    Raises:
        StageError: a product, or a file that it waits for, has such a name.
    """
    for product in products:
        for path in (product.path, *product.inputs, *product.raw):
            if SPECIAL.search(path):
                raise StageError(
                    f"{product.stage}: make wants names without spaces and :;#%$*?|, found "
                    f"{path!r}; change the variable that this name comes from"
                )


def flag(name: str, value: object | None) -> Flags:
    """``--name value``, or nothing without a value."""
    return () if value in (None, "") else (f"--{name}", str(value))


def paths(name: str, values: Iterable[str]) -> Flags:
    """``--name a,b,c``, or nothing without values."""
    return (f"--{name}", ",".join(values)) if (values := tuple(values)) else ()


def override(flags: Flags, winning: Flags) -> Flags:
    """Flags with their values, without those that others name, followed by the others.

    A switch is named by its negation as well.

    >>> override(("--alpha", "0.7", "--size=32", "--noimage"), ("--alpha", "0.3"))
    ('--size=32', '--noimage', '--alpha', '0.3')
    """
    return (*without(flags, winning), *winning)


def without(flags: Flags, winning: Flags) -> Flags:
    """Flags with their values, without those that others name.

    >>> without(("--augment", "lcz", "--cosine", "--size=32"), ("--noaugment", "--size", "48"))
    ('--cosine',)
    """
    taken = {_name(word) for word in winning if word.startswith("--")}
    taken |= {name.removeprefix("no") for name in taken}
    kept, keep = list[str](), True
    for word in flags:
        if word.startswith("--"):
            keep = not {_name(word), _name(word).removeprefix("no")} & taken
        kept += [word] if keep else []
    return tuple(kept)


def _name(word: str) -> str:
    return word.removeprefix("--").partition("=")[0].replace("-", "_")
