"""What explain found: the pictures of where networks look, and of what each band is worth."""

from typing import Any

from stages.report import pictures
from stages.report.inputs import Product

PICTURES = {
    "overview.png": "where each network looks, a line a class",
    "best-versus-worst.png": "right by the best network, wrong by the worst",
    "bands.png": "what is lost without each band",
}


def describe(product: Product) -> dict[str, Any]:
    """Name, and the pictures that there are with their titles.

    Raises:
        StageError: a file that is no picture.
    """
    shown = {
        title: pictures.file_uri(path)
        for name, title in PICTURES.items()
        if (path := product.path / name).is_file()
    }
    return {"name": product.name, "pictures": shown}
