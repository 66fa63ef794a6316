"""The table of ensembles: which one of the thesis's table each is, by records, not by names."""

from dataclasses import dataclass
from typing import Any

from stages.report import classifiers, published
from stages.report.classifiers import Classifier
from stages.report.inputs import Product, digest, made_from, seeds

TITLES = {"resnet18": "ResNet18", "densenet201": "DenseNet201"}
MODES = ("rand", "randrgb", "sar")
ACROSS, NO_IMAGE, OTHER = "Across architectures", "No picture", "Sum rules of ensembles not given"


@dataclass(frozen=True)
class Kind:
    """What an ensemble is made of.

    Attributes:
        group: heading it stands under: an architecture, or several.
        label: "RAND", "fusion ALL" and so on.
        published: the thesis's overall accuracy in percent, or a dash.
    """

    group: str
    label: str
    published: str = published.NONE


def tables(graded: list[Classifier], products: list[Product]) -> list[dict[str, Any]]:
    """Groups of lines: each architecture, across architectures, topology alone, and the rest."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for classifier in graded:
        if classifier.role in classifiers.ENSEMBLES:
            kind = kind_of(classifier.product, products)
            groups.setdefault(kind.group, []).append(_line(classifier, kind, products))
    first = [*TITLES.values()]
    last = [ACROSS, NO_IMAGE, OTHER]
    others = sorted(groups.keys() - {*first, *last})
    ordered = [name for name in (*first, *others, *last) if name in groups]
    return [{"group": name, "lines": sorted(groups[name], key=_order)} for name in ordered]


def _order(line: dict[str, Any]) -> tuple[bool, bool, int, str]:
    """Teachers first, then fusion; single modes in the thesis's order, then what joins them."""
    label = line["label"].removeprefix("fusion ").lower()
    place = MODES.index(label) if label in MODES else len(MODES)
    return line["label"].startswith("fusion"), place == len(MODES), place, line["name"]


def leaves(product: Product, products: list[Product]) -> list[Product] | None:
    """The trained ensembles that a sum rule joins, itself if none; None if one is not given."""
    if product.stage != "sumrule":
        return [product]
    parts = made_from(product, products)
    if not parts or len(parts) < len(set(product.inputs.get("src", []))):
        return None
    below = [leaves(part, products) for part in parts]
    return None if None in below else [leaf for each in below if each for leaf in each]


def kind_of(product: Product, products: list[Product]) -> Kind:
    """Place of an ensemble in the table."""
    parts = leaves(product, products)
    if parts is None:
        return Kind(OTHER, "sum rule")
    if not all(part.parameters.get("image", True) for part in parts):
        return Kind(NO_IMAGE, "topology alone")
    names = sorted({str(part.parameters.get("architecture")) for part in parts})
    modes = {str(part.parameters.get("mode")) for part in parts}
    stages = {part.stage for part in parts}
    group = ACROSS if len(names) > 1 else TITLES.get(names[0], names[0])
    mode = "ALL" if modes == {*MODES} else " + ".join(m.upper() for m in sorted(modes))
    label = {"teacher": mode, "fusion": f"fusion {mode}"}.get(
        "".join(stages) if len(stages) == 1 else "", f"teachers and fusion {mode}"
    )
    # Each mode and architecture as often as any other, else it is not the thesis's mean.
    even = product.stage != "sumrule" or len(parts) == len(names) * len(modes)
    if stages != {"teacher"} or len(names) > 1 or not even:
        return Kind(group, label)
    return Kind(group, label, published.teacher(names[0], mode.lower()))


def _line(classifier: Classifier, kind: Kind, products: list[Product]) -> dict[str, Any]:
    product, metrics = classifier.product, classifier.metrics
    return classifiers.line(classifier) | {
        "label": kind.label,
        "notes": notes(product, products),
        "networks": networks(classifier),
        "set": test_file(product, products),
        "published": kind.published if classifier.known else "",
        "parts": metrics.get("members") or [],
    }


def networks(classifier: Classifier) -> int | None:
    """How many networks are averaged; None where that is not said."""
    said = classifier.metrics.get("networks")
    if said is None and (alone := classifier.metrics.get("member_accuracy")):
        return len(alone)
    return int(said) if said is not None else None


def notes(product: Product, products: list[Product]) -> list[str]:
    """How it differs from the like of it: ablations, variants, shard, seed."""
    remarks, inputs = [], product.inputs
    if product.stage == "fusion":
        count = len({*inputs.get("train", [])})
        remarks += ["no super-resolution" if count == 1 else f"{count} variants"] if count else []
        remarks += [] if inputs.get("tda_train") else ["no topology"]
    if product.stage == "sumrule":
        remarks.append(f"sum rule of {len(inputs.get('src', []))}")
    if inputs.get("checkpoint"):
        remarks.append("trained elsewhere")
    if (shard := product.parameters.get("shard", "1/1")) != "1/1":
        remarks.append(f"shard {shard}")
    if drawn := seeds(product, products):
        remarks.append("seed " + ", ".join(map(str, drawn)))
    return remarks


def test_file(product: Product, products: list[Product]) -> str:
    """Name of the patch file that the scores are of, where it is among the products."""
    parts = leaves(product, products) or []
    wanted = {d for part in parts for d in part.inputs.get("test", [])[:1]}
    files = [other for other in products if other.kind == "patches" and wanted]
    return ", ".join(file.name for file in files if digest(file.path) in wanted)
