"""From the folder of a trained network to the pair of files that the client runs."""

import re
from dataclasses import replace
from pathlib import Path

import onnx

from shared import sisr_client
from shared.errors import StageError
from shared.sisr import cards
from shared.sisr_client import Description, Network
from stages.sisr_export import wrapping
from stages.sisr_export.settings import MOST_MARGIN

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def read_card(src: Path) -> cards.Card:
    """The card of a network that the client can run.

    Raises:
        StageError: it makes other bands than it reads, or of other pixels than the client reads.
    """
    card = cards.read(src)
    if unknown := [band for band in card.bands if band not in sisr_client.BANDS]:
        expected = f"expected bands that the client reads, {', '.join(sisr_client.BANDS)}"
        raise StageError(f"{src}: {expected}, found {', '.join(unknown)}")
    if card.made != card.bands:
        expected = f"expected a network that makes the bands it reads, {', '.join(card.bands)}"
        raise StageError(f"{src}: {expected}, found {', '.join(card.made)}")
    told = sisr_client.Description(src, src, card.bands, card.margin, card.factor)
    if card.metres != told.metres:
        expected = f"expected pixels of {told.metres} m, as the client reads these bands"
        raise StageError(f"{src}: {expected}, found {card.metres:g} m")
    return card


def export(src: Path, card: cards.Card, dst: Path, name: str, fill: int) -> Description:
    """Write NAME.onnx and NAME.yaml.

    Args:
        src: folder of sisr-train.
        card: what it says.
        dst: folder to write to.
        name: of both files; "" for architecture and factor.
        fill: input pixels to each side that a filled pixel is averaged from.

    Raises:
        StageError: not a name of a file, or the network is not as the card says.
    """
    name = name or f"{card.architecture}-x{card.factor}"
    if not NAME.fullmatch(name):
        raise StageError(f"--name: expected a to z, 0 to 9, - _ or ., found {name!r}")
    scale = wrapping.Scale(card.factor, card.mean, fill, card.grid)
    model = wrapping.wrap(wrapping.load(src / cards.ONNX), scale)
    onnx.save(model, dst / f"{name}.onnx")
    margin = wrapping.find_margin(card, fill)
    sisr_client.write(dst / f"{name}.yaml", f"{name}.onnx", card.bands, margin, card.factor)
    return sisr_client.read(dst / f"{name}.yaml")


def read_pair(src: Path, network: Path | None) -> Description:
    """A pair that exists: its YAML, or the folder with it, and its ONNX file.

    Raises:
        StageError: as `sisr_client.read`.
    """
    told = sisr_client.read(src)
    return replace(told, model=network or told.model)


def open_network(told: Description, threads: int, src: Path | None) -> Network:
    """The network of a pair.

    Args:
        told: the pair.
        threads: processors, 0 for all.
        src: folder of sisr-train that it was made from, if it was.

    Raises:
        StageError: it does not run, or is not what the card of `src` or the YAML says.
    """
    try:
        return Network(told, threads)
    except StageError as error:
        if not src:
            raise
        reason = str(error).replace(f"{told.path.parent}/", "")
        where = f"{src / cards.ONNX}: not what {cards.FILE} says"
        raise StageError(f"{where} ({reason})") from None


def check_margin(told: Description) -> None:
    """Refuse a margin of which the client's tiles would mostly consist.

    Raises:
        StageError: it is such.
    """
    low = told.whole_margin // told.factor
    if low > MOST_MARGIN:
        expected = f"expected a margin of at most {MOST_MARGIN} input pixels"
        raise StageError(f"{told.path.name}: {expected}, found {low}")
