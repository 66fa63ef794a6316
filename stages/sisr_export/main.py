"""A network of sisr-train as the ONNX and YAML that the Sentinel-2 client runs, and its checks."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from shared import cli
from shared.errors import StageError
from shared.progress import say
from stages.sisr_export.settings import Limits

if TYPE_CHECKING:
    from stages.sisr_export.case import Result


def name_network(given: Mapping[str, Any]) -> dict[str, Path]:
    """The ONNX file that a YAML names, as if it had been given.

    Raises:
        StageError: no usable YAML, another file is given, or one beside a network of sisr-train.
    """
    src, network = given.get("src"), given.get("network")
    if not isinstance(src, Path) or not src.exists():
        return {}  # which is refused by name later
    from shared import sisr_client
    from shared.sisr import cards

    if not (src / cards.FILE).is_file():
        if src.is_dir() and not [*src.glob("*.y*ml")]:
            expected = f"expected {cards.FILE} of sisr-train or a YAML"
            raise StageError(f"{src}: {expected} in the folder, found neither")
        return sisr_client.name_network(src, network)
    if network:
        raise StageError(f"--network: expected none beside a folder of sisr-train, found {network}")
    return {}


@cli.completed_by(name_network)
def run(
    *,
    src: Path,
    dst: Path,
    network: Path | None = None,
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
        network: the ONNX file that the YAML names, which is found by itself.
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
    from shared.sisr import cards
    from stages.sisr_export import case, checking, exporting, pair_rows, report

    shutil.rmtree(dst, ignore_errors=True)  # fast to write: a stopped run starts over
    dst.mkdir()
    card = exporting.read_card(src) if (src / cards.FILE).is_file() else None
    if not card and name:
        raise StageError(f"--name: expected none, found {name!r}: {src} is only checked")
    told = (
        exporting.export(src, card, dst, name, fill) if card else exporting.read_pair(src, network)
    )
    exporting.check_margin(told)
    images = pair_rows.read(pairs, told, split, rows) if pairs else None
    opened = exporting.open_network(told, threads, src if card else None)
    tried = case.Case(opened, limits, seed)
    trainer = checking.Trainer(src / cards.ONNX, threads) if card else None
    results = checking.check_all(tried, images, trainer)
    tell(src, results, refuse=card is not None)
    report.write_tables(dst, told, results, opened.grid)
    report.draw(dst, tried, results)
    if card:
        source = f"{card.architecture}, trained in the mode {card.mode}"
        report.write_use(dst, told, source, fill, opened.grid)


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
