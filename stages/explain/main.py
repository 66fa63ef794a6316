"""explain: where a classifier looks, and which bands it needs."""

from pathlib import Path

from shared import cli, patches
from shared.errors import StageError
from stages.explain.settings import Choice, Maps


def run(
    *,
    src: tuple[Path, ...],
    test: Path,
    dst: Path,
    maps: Maps = Maps(),
    choice: Choice = Choice(),
) -> None:
    """Draw which places of a patch decide its class, by gradients and by covering them.

    Args:
        src: model folders of distill, teacher or export, or ONNX files of others beside their
            description, joined by commas; the rows are chosen by the first one.
        test: patch file with label and the bands of all networks.
        dst: folder to write: overview.png, maps/, index.csv, bands.csv, bands.png, and
            best-versus-worst.png where there are several products.
    """
    with patches.read(test, "label") as source:
        if wrong := [row for row in choice.rows if not 0 <= row < source.total]:
            raise StageError(f"--rows: expected 0 to {source.total - 1}, found {wrong[0]}")

        from stages.explain import product

        product.explain(src, source, dst, maps, choice)


if __name__ == "__main__":
    cli.main(run)
