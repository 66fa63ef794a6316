"""A network of sisr-train as the ONNX and YAML that the Sentinel-2 client runs, and its checks."""

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from shared import cli
from shared.errors import StageError
from shared.progress import say
from stages.sisr_export.settings import MOST_MARGIN, Limits

if TYPE_CHECKING:
    from shared.sisr import cards
    from shared.sisr_client import Description, Network
    from stages.sisr_export.case import Result

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def run(
    *,
    src: Path,
    dst: Path,
    pairs: Path | None = None,
    split: Literal["training", "validation", "testing"] = "testing",
    rows: Annotated[int, cli.at_least(1)] = 8,
    name: str = "",
    fill: Annotated[int, cli.between(1, 16)] = 4,
    limits: Limits = Limits(),
    seed: Annotated[int, cli.at_least(0)] = 42,
    threads: Annotated[int, cli.at_least(0)] = 0,
) -> None:
    """Write ONNX and YAML for the client and check them by running them as it does.

    Args:
        src: folder of sisr-train; or the YAML of a pair that exists, or a folder with one YAML,
            ours or one that others published, which is only checked: what fails is told and not
            refused.
        dst: folder to write: NAME.onnx, NAME.yaml, USE.md (not of a pair that exists), checks.json,
            checks.csv, checks.png.
        pairs: pair file whose images are compared with what the network makes of them; without it,
            drawn land.
        split: which of its rows.
        rows: how many of them at most, evenly spread.
        name: of the two files; "" for the architecture and the factor, such as carn-x2.
        fill: input pixels to each side of a pixel without data whose known values fill it; the
            margin grows by them.
        seed: of the drawn land.
        threads: processors, 0 for all; changes time, not results.
    """
    from shared import sisr_client
    from shared.sisr import cards
    from stages.sisr_export import case, checking, pair_rows, report

    shutil.rmtree(dst, ignore_errors=True)  # fast to write: a stopped run starts over
    dst.mkdir()
    card = read_card(src) if (src / cards.FILE).is_file() else None
    if not card and name:
        raise StageError(f"--name: expected none, found {name!r}: {src} is only checked")
    told = export(src, card, dst, name or name_of(card), fill) if card else sisr_client.read(src)
    check_margin(told)
    images = pair_rows.read(pairs, told, split, rows) if pairs else None
    network = open_network(src, told, threads) if card else sisr_client.Network(told, threads)
    tried = case.Case(network, limits, seed)
    trainer = checking.Trainer(src / cards.ONNX, threads) if card else None
    results = checking.check_all(tried, images, trainer)
    tell(src, results, refuse=card is not None)
    report.write_tables(dst, told, results)
    report.draw(dst, tried, results)
    if card:
        report.write_use(dst, told, f"{card.architecture}, trained in the mode {card.mode}", fill)


def read_card(src: Path) -> "cards.Card":
    """The card of a network that the client can run.

    Raises:
        StageError: it makes other bands than it reads, or of other pixels than the client reads.
    """
    from shared import sisr_client
    from shared.sisr import cards

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


def name_of(card: "cards.Card") -> str:
    """The name of the files: architecture and factor."""
    return f"{card.architecture}-x{card.factor}"


def export(src: Path, card: "cards.Card", dst: Path, name: str, fill: int) -> "Description":
    """Write NAME.onnx and NAME.yaml.

    Raises:
        StageError: not a name of a file, or the network is not as the card says.
    """
    import onnx

    from shared import sisr_client
    from shared.sisr import cards
    from stages.sisr_export import wrapping

    if not NAME.fullmatch(name):
        raise StageError(f"--name: expected a to z, 0 to 9, - _ or ., found {name!r}")
    scale = wrapping.Scale(card.factor, card.mean, fill)
    model = wrapping.wrap(wrapping.load(src / cards.ONNX), scale)
    onnx.save(model, dst / f"{name}.onnx")
    margin = wrapping.find_margin(card, fill)
    sisr_client.write(dst / f"{name}.yaml", f"{name}.onnx", card.bands, margin, card.factor)
    return sisr_client.read(dst / f"{name}.yaml")


def open_network(src: Path, told: "Description", threads: int) -> "Network":
    """The exported network.

    Raises:
        StageError: the trainer's does not run, or is not what its card says.
    """
    from shared import sisr_client
    from shared.sisr import cards

    try:
        return sisr_client.Network(told, threads)
    except StageError as error:
        reason = str(error).replace(f"{told.path.parent}/", "")
        where = f"{src / cards.ONNX}: not what {cards.FILE} says"
        raise StageError(f"{where} ({reason})") from None


def check_margin(told: "Description") -> None:
    """Refuse a margin of which the client's tiles would mostly consist.

    Raises:
        StageError: it is such.
    """
    low = told.whole_margin // told.factor
    if low > MOST_MARGIN:
        expected = f"expected a margin of at most {MOST_MARGIN} input pixels"
        raise StageError(f"{told.path.name}: {expected}, found {low}")


def tell(src: Path, results: "list[Result]", refuse: bool) -> None:
    """Say what each check found; what failed, as a refusal where that is asked for.

    Raises:
        StageError: a check failed, and `refuse`.
    """
    failed = [result for result in results if not result.passed]
    if failed and refuse:
        names = ", ".join(result.name for result in failed)
        count = f"{len(failed)} of {len(results)} checks failed ({names})"
        raise StageError(f"{src}: {count}; {failed[0].name}: {failed[0].said}")
    for result in results:
        say(f"{'passed' if result.passed else 'FAILED'} {result.name}: {result.said}")


if __name__ == "__main__":
    cli.main(run)
