"""From teacher to Metis: what every step costs, for each student with its exports and bundles."""

from typing import Any

from stages.report import classifiers, ensembles, published
from stages.report.accuracy_steps import BLANK, bundle_step, describe, step
from stages.report.classifiers import ALONE, BEFORE, FP32, INT8, PNG, Classifier
from stages.report.inputs import Product, digest, made_from


def chains(graded: list[Classifier], products: list[Product]) -> list[dict[str, Any]]:
    """One chain a student; one for an export or a bundle whose maker is not among the products."""
    students = [c for c in graded if c.role == "student"]
    made: list[dict[str, Any]] = [
        {"title": c.name, "says": describe(c), "steps": _student(c, graded, products)}
        for c in students
    ]
    claimed = [
        export
        for c in students
        for each in (_exports, _plain_exports)
        for export in each(c.product, products)
    ]
    exports = [p for p in products if p.kind == "export" and p not in claimed]
    made += [{"title": p.name, "steps": _export(p, None, graded, products)} for p in exports]
    makers = [p for p in products if p.kind == "export"]
    bundles = [p for p in products if p.kind == "bundle" and not _among(p, makers, products)]
    made += [
        {"title": p.name, "steps": [bundle_step(c) for c in _of(p, PNG, graded)]} for p in bundles
    ]
    return [
        {"says": "", **chain, "steps": [BLANK | line for line in chain["steps"]]}
        for chain in made
        if chain["steps"]
    ]


def _among(product: Product, makers: list[Product], products: list[Product]) -> bool:
    """Whether a product was made from one of the makers."""
    return any(part in makers for part in made_from(product, products))


def _of(product: Product, role: str, graded: list[Classifier]) -> list[Classifier]:
    return [c for c in graded if c.product == product and c.role == role]


def _student(
    student: Classifier, graded: list[Classifier], products: list[Product]
) -> list[dict[str, Any]]:
    """Teacher, student, the same without a teacher, then every export of it."""
    product = student.product
    teacher = _teacher(product, graded, products)
    base = teacher.accuracy if teacher else student.metrics.get("teacher_accuracy")
    steps: list[dict[str, Any]] = []
    if teacher:
        theirs = ensembles.kind_of(teacher.product, products).published
        steps.append(step(teacher) | {"published": theirs if teacher.known else ""})
    elif base is not None:
        steps.append({"role": "teacher", "name": "", "accuracy": base})
    plain = next(iter(_of(product, BEFORE, graded)), None)
    if plain:
        steps.append(step(plain, teacher, base))
        steps += [
            line | {"aside": True}
            for export in _plain_exports(product, products)
            for line in _export(export, plain, graded, products, base)
        ]
    said = published.student(str(product.parameters.get("architecture")))
    steps.append(step(student, plain or teacher, base))
    steps[-1]["published"] = said if student.known else ""
    steps += [step(c, student, base) | {"aside": True} for c in _of(product, ALONE, graded)]
    for export in _exports(product, products):
        steps += _export(export, student, graded, products, base)
    return steps


def _exports(product: Product, products: list[Product]) -> list[Product]:
    return [p for p in products if p.kind == "export" and _among(p, [product], products)]


def _plain_exports(student: Product, products: list[Product]) -> list[Product]:
    """Exports of the student before fine-tuning, whose folder lies in the product."""
    exports = [p for p in products if p.kind == "export" and p.inputs.get("src")]
    folder = student.path / "float"
    if not exports or not folder.is_dir():
        return []
    return [export for export in exports if digest(folder) in export.inputs["src"]]


def _teacher(
    product: Product, graded: list[Classifier], products: list[Product]
) -> Classifier | None:
    """What it learned from, if that is one ensemble among the products."""
    parts = [part for part in made_from(product, products) if part.kind == "classifier"]
    given = [c for c in graded if c.product in parts and c.role in classifiers.ENSEMBLES]
    return given[0] if len(given) == 1 else None


def _export(
    export: Product,
    student: Classifier | None,
    graded: list[Classifier],
    products: list[Product],
    base: float | None = None,
) -> list[dict[str, Any]]:
    """FP32, INT8 by every way of calibration, those beside the product's aside, and its bundles."""
    whole = next(iter(_of(export, FP32, graded)), None)
    steps = [step(whole, student, base)] if whole else []
    for c in _of(export, INT8, graded):  # the best by test accuracy would be no measurement
        other = c.folder is not None and c.folder.name != "int8"
        steps.append(step(c, whole, base) | {"aside": other})
    for bundle in products:
        if bundle.kind == "bundle" and _among(bundle, [export], products):
            steps += [bundle_step(c) for c in _of(bundle, PNG, graded)]
    return steps
