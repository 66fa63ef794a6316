"""Super-resolution across sensors: networks beside the cubic, and scenes that one enlarged."""

from typing import Any

from shared.errors import StageError
from stages.report import pictures
from stages.report.inputs import Product, read_json

# Means over the bands that the table has, where any image has them: title, digits.
COLUMNS = {
    "psnr": ("PSNR, dB", 2), "ssim": ("SSIM", 4), "psnr_truth": ("PSNR against the truth, dB", 2),
    "frr": ("FRR, %", 1), "frr_truth": ("FRR against the truth, %", 1),
    "low_fidelity": ("fidelity to the input", 4), "flow_mean": ("displacement, pixels", 3),
    "radiometric_mean": ("bias", 4),
}  # fmt: skip
PICTURES = {
    "mosaic.png": "input, networks and references of a few patches",
    "fft_profiles.png": "amplitude by spatial frequency",
}


def describe(product: Product) -> dict[str, Any]:
    """The table of one comparison by sisr-eval, and its pictures.

    Raises:
        StageError: a file that is missing, or not as sisr-eval writes it.
    """
    path = product.path / "metrics.json"
    told = read_json(path)
    try:
        means = {str(name): bands["mean"] for name, bands in told["metrics"].items()}
        columns = {
            title: {name: _format(each.get(metric), digits) for name, each in means.items()}
            for metric, (title, digits) in COLUMNS.items()
            if any(metric in each for each in means.values())
        }
        facts = {"bands": list(told["bands"]), "factor": int(told["factor"])}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StageError(
            f"{path}: expected measures as sisr-eval writes them ({error!r})"
        ) from None
    return facts | {
        "name": product.name, "images": list(means), "columns": columns,
        "pictures": {
            text: pictures.file_uri(product.path / name)
            for name, text in PICTURES.items()
            if (product.path / name).is_file()
        },
    }  # fmt: skip


def _format(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def describe_scene(product: Product) -> dict[str, str]:
    """Name and picture of a scene that scene-sr enlarged.

    Raises:
        StageError: there is no picture.
    """
    picture = product.path / "quicklook.png"
    if not picture.is_file():
        raise StageError(f"{picture}: expected the picture of a scene, found none")
    return {"name": product.name, "picture": pictures.file_uri(picture)}
