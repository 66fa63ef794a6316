"""How the page opens: the chain as a picture, five key figures, and where the bundle lies."""

from dataclasses import dataclass
from typing import Any

from stages.report.classifiers import INT8, Classifier
from stages.report.inputs import Product, read_json

WIDTH, HEIGHT = 134, 46  # of a box, in pixels
GAP, ROW = 26, 66  # between columns, and from one row to the next


@dataclass(frozen=True)
class Box:
    """One step of the chain.

    Attributes:
        title: what is written in it.
        stages: any of these makes it.
        column: place from the left.
        row: place from the top, 0 to 2; 1 is the middle.
        after: titles of the boxes that lead to it.
    """

    title: str
    stages: tuple[str, ...]
    column: int
    row: float = 1
    after: tuple[str, ...] = ()


CHAIN = (
    Box("patches", ("demo", "eurosat", "so2sat", "prepare"), 0),
    Box("super-resolution", (), 1, 0, ("patches",)),
    Box("topology", ("tda",), 1, 2, ("patches",)),
    Box("teachers", ("teacher",), 2, 0.4, ("patches",)),
    Box("fusion", ("fusion",), 2, 1.6, ("super-resolution", "topology")),
    Box("student", ("distill",), 3, 1, ("teachers", "fusion")),
    Box("INT8 ONNX", ("export",), 4, 1, ("student",)),
    Box("bundle", ("voyager",), 5, 1, ("INT8 ONNX",)),
)
# Kinds of products of the chains for land cover and across sensors.
OTHER = {"tiles", "segmenter", "map", "export", "sensors", "scene"}
APART = ("sr-train", "sr-eval", "sr-degrade")  # stages of super-resolution that enlarge nothing


def describe(products: list[Product], graded: list[Classifier]) -> dict[str, Any]:
    """What the template shows first.

    Args:
        products: what was given to the report.
        graded: their classifiers.
    """
    made = {product.stage for product in products}
    enlarging = any(stage.startswith("sr-") and stage not in APART for stage in made)
    boxes = [
        _drawn(box, made=bool({*box.stages} & made) if box.stages else enlarging) for box in CHAIN
    ]
    bundles = [product for product in products if product.kind == "bundle"]
    kinds = {product.kind for product in products}
    return {
        "shown": not {"tiles", "segmenter", "sensors"} & kinds or not kinds <= OTHER,
        "boxes": boxes,
        "arrows": [_arrow(start, box) for box in CHAIN for start in box.after],
        "width": 6 * (WIDTH + GAP),
        "figures": key_figures(products, graded),
        # As it was given, unless that would put this machine's folders into the page.
        "bundles": [one.name if one.path.is_absolute() else str(one.path) for one in bundles],
        "missing": [box["title"] for box in boxes if not box["made"]],
    }


def _drawn(box: Box, *, made: bool) -> dict[str, Any]:
    x, y = _corner(box)
    return {"title": box.title, "made": made, "x": x, "y": y, "width": WIDTH, "height": HEIGHT}


def _corner(box: Box) -> tuple[float, float]:
    return 4 + box.column * (WIDTH + GAP), 4 + box.row * ROW


def _arrow(start: str, end: Box) -> str:
    """A curved path from the right of one box to the left of another."""
    (before,) = [box for box in CHAIN if box.title == start]
    (x0, y0), (x1, y1) = _corner(before), _corner(end)
    x0, y0, y1 = x0 + WIDTH, y0 + HEIGHT / 2, y1 + HEIGHT / 2
    middle = (x0 + x1) / 2
    return f"M{x0:.0f} {y0:.0f} C{middle:.0f} {y0:.0f} {middle:.0f} {y1:.0f} {x1 - 3:.0f} {y1:.0f}"


def key_figures(products: list[Product], graded: list[Classifier]) -> list[dict[str, Any]]:
    """Five figures with what each one means; None where it is not made yet."""
    gain = resolution_gain(products)
    ensembles = _best(graded, ("teacher", "sumrule"))
    fusion, student = _best(graded, ("fusion",)), _best(graded, ("student",))
    # Other schemes of the same export are shown in the tables: the best of
    # them on the test patches would flatter. The bundle's figure is of the FP32 network.
    quantised = [one for one in graded if one.folder and one.folder.name == "int8"]
    return [
        {
            "title": "Super-resolution",
            "value": None if gain is None else f"{gain:+.1f} dB",
            "meaning": "best method over bicubic, PSNR on degraded patches",
        },
        _accuracy("Teachers", ensembles, "best ensemble of image networks"),
        _accuracy("Fusion", fusion, "best ensemble of image and topology"),
        _accuracy("Student", student, "one small network, single precision"),
        _accuracy(
            "INT8", _best(quantised, (INT8,)), "the student in eight bits, on this computer's CPU"
        ),
    ]


def _accuracy(title: str, value: float | None, meaning: str) -> dict[str, Any]:
    shown = None if value is None else f"{100 * value:.1f} %"
    return {"title": title, "value": shown, "meaning": f"{meaning}, overall accuracy"}


def _best(graded: list[Classifier], roles: tuple[str, ...]) -> float | None:
    accuracies = [
        one.accuracy for one in graded if one.role in roles and not one.metrics.get("qat")
    ]
    return max(accuracies, default=None)


def resolution_gain(products: list[Product]) -> float | None:
    """Decibels that the best method gains over bicubic by Wald's protocol, None without sr-eval."""
    gains = []
    for product in products:
        if product.kind != "comparison":
            continue
        for methods in read_json(product.path / "metrics.json").get("wald", {}).values():
            psnr = {name: bands["all"].get("psnr") for name, bands in methods.items()}
            base = psnr.pop("bicubic", None)
            gains += [value - base for value in psnr.values() if value and base]
    return max(gains, default=None)
