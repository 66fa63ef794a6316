"""The super-resolution methods: one TOML file per method, the only place where its facts stand.

make, `sr-train`, `sr-eval`, `weights`, the tests and the benchmarks read them. It needs nothing
but the standard library.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomllib

from shared.errors import StageError

__all__ = [
    "FOLDER",
    "Method",
    "Published",
    "Training",
    "check_file",
    "load_all",
    "load_published",
    "parse",
    "variants",
]

FOLDER = Path(__file__).parent
FORMS = {
    "name": r"[\w.-]+\.(pth|pt|pth\.tar|safetensors|h5)",
    "sha256": r"([0-9a-f]{8,64})?",
    "licence": r"[\w.+-]+",
    "url": r"(https://\S+)?",
    "page": r"(https://\S+)?",
}


@dataclass(frozen=True)
class Published:
    """One published file of weights.

    Attributes:
        name: under which it is published, and kept.
        scales: factors on height and width that it is for.
        licence: of the weights, an SPDX name.
        url: where its authors keep it, "" when only a page leads to it.
        page: where a person finds it when there is no url.
        bytes: its size, None where nobody published it.
        sha256: hexadecimal digits, the first eight or more of the 64; "" where none are known.
    """

    name: str
    scales: tuple[int, ...]
    licence: str
    url: str = ""
    page: str = ""
    bytes: int | None = None
    sha256: str = ""


@dataclass(frozen=True)
class Training:
    """The published size of a network, and how `sr-train` may train it.

    Attributes:
        network: vdsr, edsr, rrdb or swinir: which network `sr-train` builds.
        width: features of a layer.
        depth: middle layers (vdsr), residual blocks, or blocks of each group (swinir).
        scales: factors that the stage of this method accepts.
        channels: bands that go through the network together.
        adversarial: whether the method has a discriminator.
        naming: `shared.sr.networks.naming` of the names in saved weights, "" for the network's.
    """

    network: str
    width: int
    depth: tuple[int, ...]
    scales: tuple[int, ...]
    channels: int = 1
    adversarial: bool = False
    naming: str = ""


@dataclass(frozen=True)
class Method:
    """One super-resolution method.

    Attributes:
        name: as in the stage ``sr-NAME``.
        title: as its authors write it.
        order: its place in tables and in the pipeline.
        source: publication.
        variants: scales that the pipeline makes.
        train: None for a method without weights.
        demo: sizes for `sr-train` on the small sets, by flag.
        flags_with_own_weights: flags of the stage when `sr-train` made the weights.
        published: files of weights; the first of a scale that has a url is the default.
    """

    name: str
    title: str
    order: int
    source: str
    variants: tuple[int, ...]
    train: Training | None = None
    demo: dict[str, int] = field(default_factory=dict)
    flags_with_own_weights: tuple[str, ...] = ()
    published: tuple[Published, ...] = ()

    def default_weights(self, scale: int) -> str:
        """Name of the published file that the pipeline uses at this scale, "" when none is."""
        names = [file.name for file in self.published if scale in file.scales and file.url]
        return names[0] if names else ""


def load_all(folder: Path = FOLDER) -> dict[str, Method]:
    """Every method by name, in order.

    Raises:
        StageError: a record that cannot be read; names the file.
    """
    methods = [parse(path) for path in folder.glob("*.toml")]
    return {method.name: method for method in sorted(methods, key=lambda method: method.order)}


def parse(path: Path) -> Method:
    """One record.

    Raises:
        StageError: not TOML, an entry is missing or unknown, or a published file is not described
            as `FORMS` demands.
    """
    try:
        content = tomllib.loads(path.read_text())
        train = content.pop("train", None)
        files = [Published(**_tuples(entry)) for entry in content.pop("published", [])]
        method = Method(
            name=path.stem,
            train=Training(**_tuples(train)) if train else None,
            published=tuple(files),
            **_tuples(content),
        )
    except (tomllib.TOMLDecodeError, TypeError, UnicodeDecodeError) as error:
        raise StageError(f"{path}: not a record of a method ({error})") from None
    for file in files:
        check_file(path, file)
    return method


def _tuples(entries: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in entries.items()}


def check_file(path: Path, file: Published) -> None:
    """Refuse a file that a record does not describe as `FORMS` demands.

    Raises:
        StageError: names the record, the file and the entry.
    """
    for entry, form in FORMS.items():
        value = getattr(file, entry)
        if not isinstance(value, str) or not re.fullmatch(form, value):
            expected = f"expected {form}, found {value!r}"
            raise StageError(f"{path}: {file.name}: {entry}: {expected}")
    if bool(file.url) == bool(file.page):
        raise StageError(f"{path}: {file.name}: expected either url or page")


def load_published(folder: Path = FOLDER) -> dict[str, Published]:
    """Every published file by name; two methods may share one.

    Raises:
        StageError: two records that describe one file differently.
    """
    files: dict[str, Published] = {}
    for method in load_all(folder).values():
        for file in method.published:
            if files.setdefault(file.name, file) != file:
                raise StageError(
                    f"{method.name}: {file.name}: another method describes it differently"
                )
    return files


def variants() -> tuple[str, ...]:
    """Method and scale of everything that the pipeline makes: "vdsr-x2", "vdsr-x3", …"""
    return tuple(
        f"{method.name}-x{scale}" for method in load_all().values() for scale in method.variants
    )
