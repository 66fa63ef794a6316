"""One page on everything that was made: tables and pictures of the products, and their records."""

from pathlib import Path
from typing import Annotated

from shared import cli


def run(
    *,
    src: tuple[Path, ...],
    dst: Path,
    title: str = "LCZ42 to the edge",
    each: Annotated[int, cli.between(1, 20)] = 6,
) -> None:
    """Write one self-contained HTML page about the products given.

    Args:
        src: products of any stage, joined by commas: patch, tile and features files (HDF5),
            folders of scores, comparisons, explanations, maps, exports, bundles, segmentation
            networks, comparisons and scenes of super-resolution across sensors, folders of patch
            or tile files, weights.
            Records beside them are read.
        dst: HTML file to write; pictures lie in it, nothing is loaded from elsewhere.
        title: heading of the page.
        each: patches shown of each class.
    """
    from stages.report import page

    dst.write_text(page.render_page(src, title, each), encoding="utf-8")


if __name__ == "__main__":
    cli.main(run)
