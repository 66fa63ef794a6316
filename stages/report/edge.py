"""What goes to the accelerator: sizes, parity, speed, and the bundle read back."""

from typing import Any

from shared.models import FEW_LEVELS
from stages.report import pictures
from stages.report.inputs import Product, is_segmentation, read_json

WAYS = {
    "hdf5": "the patch file",
    "rounded": "its values rounded to 8 bits",
    "png": "the PNG files, as the YAML says",
}
MEASURES = {False: ("overall_accuracy", "overall accuracy"), True: ("mean_iou", "mean IoU")}


def export(product: Product) -> dict[str, Any]:
    """report.json and latency.json of one export, as far as they are there."""
    report = read_json(product.path / "report.json")
    there = (product.path / "latency.json").is_file()
    latency = read_json(product.path / "latency.json") if there else {}
    per_pixel = is_segmentation(product)
    key, measure = MEASURES[per_pixel]
    models = [
        {"name": name, **entry, "measured": entry[key], "latency": latency.get(name, {})}
        for name, entry in report.get("models", {}).items()
    ]
    apart = {"models", "per_class", "per_class_change", "metis", "blame"}
    picture = product.path / "blame.png"
    rest = {key: value for key, value in report.items() if key not in apart}
    return {
        "name": product.name,
        "models": models,
        "measure": measure,
        "overlaps": list_overlaps(report) if per_pixel else [],
        "facts": flat(rest),
        "scheme": report.get("calibration", {}).get("scheme", ""),
        "blame": report.get("blame", {}),
        "picture": pictures.file_uri(picture) if picture.is_file() else "",
        "threads": latency.get("threads"),
        "batches": list(dict.fromkeys(rows for model in models for rows in speeds(model))),
        "lint": report.get("metis", {}).get("violations", {}),
        "accelerated": report.get("metis", {}).get("accelerated_macs", {}),
    }


def list_overlaps(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Of each class its name, its IoU by FP32 and how each INT8 changes it; None where it has none.

    IoU is 0 to 1.
    """
    changes = report["per_class_change"]["iou"]
    return [
        {
            "name": name,
            "iou": entry["iou"],
            "changes": {network: by_class.get(name) for network, by_class in changes.items()},
        }
        for name, entry in report["per_class"].items()
    ]


def speeds(model: dict[str, Any]) -> dict[str, Any]:
    """What was measured of calls with several rows, by their number as text."""
    return dict(model["latency"].get("rows", {}))


def bundle(product: Product) -> dict[str, Any]:
    """readback.json of one bundle, and what lies in its folder."""
    back = read_json(product.path / "readback.json")
    ways, limits, levels = (back.pop(name, {}) for name in ("accuracy", "limits", "levels"))
    files = [path for path in product.path.rglob("*") if path.is_file()]
    pngs = [path.relative_to(product.path).parts[0] for path in files if path.suffix == ".png"]
    return {
        "name": product.name,
        "ways": [{"way": WAYS.get(name, name), **figures} for name, figures in ways.items()],
        "facts": flat(back),
        "bands": [
            {
                "band": band,
                "low": limits[band][0],
                "high": limits[band][1],
                "levels": count,
                "few": count < FEW_LEVELS,
            }
            for band, count in levels.items()
            if band in limits
        ],
        "files": sorted(path.name for path in product.path.iterdir()),
        "bytes": sum(path.stat().st_size for path in files),
        "pictures": {folder: pngs.count(folder) for folder in sorted(set(pngs))},
    }


def flat(content: Any, name: str = "") -> list[tuple[str, Any]]:
    """Nested JSON to pairs of a dotted name and a plain value."""
    if isinstance(content, dict):
        parts = [(f"{name}.{key}" if name else str(key), value) for key, value in content.items()]
        return [pair for key, value in parts for pair in flat(value, key)]
    if isinstance(content, list):
        return [(name, ", ".join(map(str, content[:20])) + (" …" if len(content) > 20 else ""))]
    return [(name, content)]
