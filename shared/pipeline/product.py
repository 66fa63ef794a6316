"""One product of the pipeline."""

from collections.abc import Iterable
from dataclasses import dataclass

Flags = tuple[str, ...]  # words of a command line


@dataclass(frozen=True)
class Product:
    """A file or folder that one stage makes.

    Attributes:
        stage: hyphenated name.
        path: where it lies.
        inputs: paths of the products that it is made of.
        flags: of the stage, without --dst.
        raw: files that people put there, which it is made of too.
        in_all: whether `make all` makes it.
        verbs: further verbs that make it, besides its stage's.
        aside: whether `make STAGE` leaves it out, because others or a verb of its own ask for it.
        renewed: whether it is replaced without being asked, as only the report is.
        mount: a folder outside data/ that a container needs to see, at /mirror.
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

    @property
    def record(self) -> str:
        """Its record, which make looks at."""
        return self.path + ".run.json"


def flag(name: str, value: object | None) -> Flags:
    """``--name value``, or nothing without a value."""
    return () if value in (None, "") else (f"--{name}", str(value))


def paths(name: str, values: Iterable[str]) -> Flags:
    """``--name a,b,c``."""
    return (f"--{name}", ",".join(values))
