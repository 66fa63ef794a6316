"""A bundle or a network, back to the run that trained it: what an item tells of each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared import models
from shared.errors import StageError
from shared.tools.inventory import Record
from shared.tools.provenance import chain


@dataclass(frozen=True)
class Network:
    """One product with a network.

    Attributes:
        path: its folder.
        record: of the run that made it.
        card: of the network.
        trained: record of the run that trained the network.
        models: models.csv of the trained product, which has the number of parameters.
    """

    path: Path
    record: Record
    card: models.Card
    trained: Record
    models: Path


def trace_networks(product: Path, root: Path) -> list[Network]:
    """The trained network and what was made of it, such as its export, up to a product.

    Args:
        product: folder with one network, of distill, teacher, export or voyager.
        root: data folder in which its inputs are looked for.

    Raises:
        StageError: it has no record or is not as it says, what it was made of is gone, or it holds
            no network or several.
    """
    runs = chain.trace(product, root).runs
    line = [next(run for run in runs.values() if Path(run.made.path) == product)]
    while sources := [content for name, content in line[0].used if name == "src"]:
        made = runs.get(sources[0].digest)
        if made is None:
            where = line[0].made.path
            raise StageError(
                f"{where}: expected its --src, with a record, below {root}, found none"
            )
        line.insert(0, made)
    cards: list[models.Card] = []
    networks = []
    for run in line:
        path = Path(run.made.path)
        if (path / models.MODEL_FILE).is_file():
            cards = models.load(path, task=None)
        if len(cards) != 1:
            raise StageError(f"{path}: expected a folder with one network, found {len(cards)}")
        first = Path(line[0].made.path) / "models.csv"
        networks.append(Network(path, run.record, cards[0], line[0].record, first))
    return networks


def parameters(network: Network) -> dict[str, Any]:
    """What the network was trained with, as the record has it."""
    found: dict[str, Any] = network.trained["plan"]["parameters"]
    return found
