"""What sr-eval found: every method on the same patches, as figures and in one picture."""

from typing import Any

from shared.errors import StageError
from stages.report import pictures
from stages.report.inputs import Product, read_json

WAYS = {
    "wald": "restored from a degraded copy, against the original",
    "consistency": "enlarged and degraded again, against the input",
    "departure": "enlarged, against bicubic",
}
FIGURES = {"psnr": "PSNR, dB", "ssim": "SSIM", "rmse": "RMSE", "angle": "angle, °"}


def describe(product: Product) -> dict[str, Any]:
    """The picture, and the figures over all bands by way, scale and method.

    Raises:
        StageError: not what sr-eval writes.
    """
    path = product.path / "metrics.json"
    content = read_json(path)
    try:
        groups = [
            {"way": way, "says": says, "scale": scale, "methods": _figures(methods)}
            for way, says in WAYS.items()
            for scale, methods in content.get(way, {}).items()
        ]
    except (AttributeError, KeyError, TypeError):
        raise StageError(f"{path}: expected figures as sr-eval writes them") from None
    picture = pictures.file_uri(product.path / "panel.png")
    return {"name": product.name, "rows": content.get("rows"), "panel": picture, "groups": groups}


def _figures(methods: dict[str, Any]) -> dict[str, dict[str, float | None]]:
    return {
        name: {key: bands["all"].get(key) for key in FIGURES} for name, bands in methods.items()
    }
