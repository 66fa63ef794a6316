"""The chain of records behind a product: what each run used, by content. Standard library only."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from shared.errors import StageError
from shared.runs import record
from shared.tools import inventory
from shared.tools.inventory import Record


@dataclass(frozen=True)
class Content:
    """Something that a run made or used.

    Attributes:
        digest: SHA-256.
        path: where it lies now, "" when nothing in the data folder has this content.
        part_of: digest of the product whose folder it lies in, "" when it is in none.
    """

    digest: str
    path: str
    part_of: str = ""


@dataclass(frozen=True)
class Run:
    """One run of a stage: what it made, its record, and (parameter, content) that it used."""

    made: Content
    record: Record
    used: tuple[tuple[str, Content], ...]

    @property
    def stage(self) -> str:
        """The name of the stage."""
        return str(self.record["plan"]["stage"])


@dataclass
class Chain:
    """Runs behind a product, each after those whose products it used."""

    runs: dict[str, Run] = field(default_factory=dict)

    def contents(self) -> dict[str, Content]:
        """Everything that was made or used, by digest."""
        made = {run.made.digest: run.made for run in self.runs.values()}
        used = {content.digest: content for run in self.runs.values() for _, content in run.used}
        return used | made


def trace(product: Path, root: Path) -> Chain:
    """The runs behind a product.

    Args:
        product: file or folder with its record beside it.
        root: data folder in which its inputs are looked for.

    Raises:
        StageError: no record, or the product is not as its record says.
    """
    known = inventory.find_products(root)
    known |= _joined(root)
    made = known.get(product)
    if made is None:
        raise StageError(f"{product}: expected a product below {root} with its record, found none")
    if not product.exists() or not inventory.is_intact(product, made):
        raise StageError(f"{product}: is not as its record says; `make status` tells more")
    digests = {digest for each in known.values() for _, digest in inventory.list_inputs(each)}
    paths = {made["output"]["sha256"]: path for path, made in _joined(root).items()}
    paths |= inventory.find_content(root, digests, known)
    chain = Chain()
    _visit(product, known, paths, root, chain)
    return chain


def _joined(root: Path) -> dict[Path, Record]:
    """Records of parts that were removed once they were joined, by the path that each one had."""
    paths = {
        path: path.with_name(path.name.removesuffix(record.JOINED))
        for path in root.rglob("*" + record.JOINED)
    }
    records = {path: record.read(file) for file, path in paths.items()}
    return {path: made for path, made in records.items() if made and not path.exists()}


def _visit(
    product: Path, known: dict[Path, Record], paths: dict[str, Path], root: Path, chain: Chain
) -> None:
    made = known[product]
    digest = made["output"]["sha256"]
    if digest in chain.runs:
        return
    used = []
    for name, content in _inputs(made, known, paths):
        used.append((name, content))
        path = Path(content.path)
        source = inventory.containing_product(path, known) if content.path else None
        if source and source != product:
            _visit(source, known, paths, root, chain)
    chain.runs[digest] = Run(Content(digest, str(product)), made, tuple(used))


def _inputs(
    made: Record, known: dict[Path, Record], paths: dict[str, Path]
) -> Iterator[tuple[str, Content]]:
    for name, digest in inventory.list_inputs(made):
        path = paths.get(digest)
        folder = inventory.containing_product(path, known) if path else None
        inside = known[folder]["output"]["sha256"] if folder and folder != path else ""
        yield name, Content(digest, str(path) if path else "", inside)
