"""Lines of the table from teacher to Metis: what one step reaches, and what it loses."""

from typing import Any

from shared import models
from stages.report import classifiers
from stages.report.classifiers import ALONE, FP32, Classifier

# What a line of the table has when nothing is known of it.
NUMBERS = ("interval", "average_accuracy", "macro_f1", "lost", "agreement", "retention", "rows")
BLANK: dict[str, Any] = {"of": "", "published": "", "aside": False, **dict.fromkeys(NUMBERS)}


def step(
    classifier: Classifier, before: Classifier | None = None, base: float | None = None
) -> dict[str, Any]:
    """A line of the table: accuracy, points lost since the step before, agreement, retention."""
    line = classifiers.line(classifier)
    if classifier.role in classifiers.ENSEMBLES:
        return line | {"role": "teacher"}
    if before:
        line |= {
            "of": "teacher" if before.role in classifiers.ENSEMBLES else before.role,
            "lost": before.accuracy - classifier.accuracy,
            "agreement": classifiers.agreement(before, classifier),
        }
    elif base is not None and classifier.role == "student":
        line |= {"of": "teacher", "lost": base - classifier.accuracy}
    return line | {"retention": classifier.accuracy / base if base else None}


def bundle_step(classifier: Classifier) -> dict[str, Any]:
    """The FP32 network on the bundle's own pictures, against the same rows of the patch file."""
    back = classifier.metrics
    line = classifiers.line(classifier) | {"agreement": back.get("agreement")}
    straight = back["accuracy"].get("hdf5", {}).get("overall_accuracy")
    if straight is not None:
        line |= {"lost": straight - classifier.accuracy, "of": f"{FP32}, same rows"}
    return line


def columns(chains: list[dict[str, Any]]) -> list[str]:
    """The steps that any chain has, in the order of the pipeline."""
    there = {step["role"] for chain in chains for step in chain["steps"]}
    return [role for role in ("teacher", *classifiers.CHAIN) if role in there]


def side_by_side(chains: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Accuracy of every step, one line a chain, the best where there are several of a step."""
    lines = []
    for chain in chains:
        best: dict[str, float] = {}
        for step in chain["steps"]:
            if not step["aside"] or step["role"] == ALONE:
                best[step["role"]] = max(step["accuracy"], best.get(step["role"], 0.0))
        lines.append({"title": chain["title"], "says": chain["says"], "best": best})
    return lines


def describe(student: Classifier) -> str:
    """Architecture, input and what is special about a student, in a few words."""
    assert student.folder is not None
    words = [str(student.product.parameters.get("architecture", ""))]
    if (student.folder / models.MODEL_FILE).is_file():
        card = models.load(student.folder)[0]
        words = [card.architecture, f"{card.size} px", " ".join(card.bands)]
    if student.product.parameters.get("qat"):
        words.append("quantisation-aware")
    tuned = student.metrics.get("qat")
    if isinstance(tuned, dict) and {"int8_before", "int8_after"} <= tuned.keys():
        before, after = (100 * tuned[f"int8_{when}"] for when in ("before", "after"))
        words.append(f"fake INT8 {before:.2f} % before, {after:.2f} % after")
    return " · ".join(word for word in words if word)
