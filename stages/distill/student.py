"""The student, its twin without a teacher, the student before fine-tuning, and what they leave."""

import dataclasses
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from shared import models, patches
from shared.training import ensemble, settings
from shared.training import results as product
from shared.training.data import View, agree, holdout, label_pair, load, wanted
from shared.training.loop import Recipe
from stages.distill import checkpoint, lessons, start, tune
from stages.distill.lessons import Lesson
from stages.distill.loss import hard_and_soft
from stages.distill.settings import Settings

BASELINE, FLOAT = "baseline", "float"
Labels = tuple[Tensor, Tensor]


def make(train: Path, test: Path, dst: Path, plan: Settings, recipe: Recipe) -> None:
    """Train student and twin, write the product."""
    plan.check()
    settings.check(recipe, plan.published.size, plan.interpolation)
    settings.check_pass(recipe, 1, plan.resident, plan.validation)
    if (dst / models.NAME).exists():  # written last: only the clean-up was left
        _clean(dst)
        return
    card = _card(train, plan)
    labels = label_pair(train, test, card.classes)
    lesson = lessons.prepare(train, test, labels, card.classes, plan, dst / ensemble.WORK)
    members = _members(train, test, card, labels, lesson, plan, recipe.seed)
    results = ensemble.train(dst, members, recipe)
    more = _settings(plan, recipe)
    if len(members) > 1:
        alone = product.write(dst / BASELINE, results[1:], labels)
        more["baseline_accuracy"] = alone["overall_accuracy"]
    result = results[0]
    if plan.qat:
        result, more["qat"] = _tuned(dst, members[0], result, labels, plan, recipe)
    if lesson.accuracy is not None:
        reached = float((result.test_logits.argmax(1) == labels[1].numpy()).mean())
        retention = reached / lesson.accuracy if lesson.accuracy else 0.0
        more |= {"teacher_accuracy": lesson.accuracy, "retention": retention}
    product.write(dst, [result], labels, **more)
    _clean(dst)


def _tuned(
    dst: Path, member: ensemble.Member, plain: product.Result, labels: Labels, plan: Settings,
    recipe: Recipe,
) -> tuple[product.Result, dict[str, Any]]:  # fmt: skip
    before = product.write(dst / FLOAT, [plain], labels)
    final = dataclasses.replace(member, export=partial(tune.export, "."))
    classes, channels = len(member.card.classes), len(plan.bands)
    quick = dataclasses.replace(recipe, epochs=plan.qat, lr=plan.qat_lr)

    def read(path: Path) -> nn.Module:
        return checkpoint.read(path, plan.architecture, channels, classes)

    truth = labels[1].numpy()
    result, said = tune.tune(dst, final, read, truth, quick, plan.qat_weights)
    return result, {"float_before": before["overall_accuracy"]} | said


def _clean(dst: Path) -> None:
    shutil.rmtree(dst / ensemble.WORK, ignore_errors=True)


def _settings(plan: Settings, recipe: Recipe) -> dict[str, Any]:
    """What metrics.json says of the run, with the student's own defaults filled in."""
    own = dataclasses.asdict(plan.published)
    if plan.checkpoint:  # trained elsewhere, nobody knows how
        own = {name: own[name] for name in ("size", "temperature")}
    return {"alpha": plan.alpha, "targets": plan.targets, "seed": recipe.seed, **own}


def _card(train: Path, plan: Settings) -> models.Card:
    with patches.read(train, "label") as source:
        mean, std = models.statistics(source, plan.bands)
        classes = source.classes
    start.check(plan, len(classes))
    return models.Card(
        "student.onnx", plan.architecture, plan.bands, mean, std, plan.published.size,
        plan.interpolation, classes, eight_bit=plan.eight_bit,
    )  # fmt: skip


def _members(
    train: Path, test: Path, card: models.Card, labels: Labels, lesson: Lesson, plan: Settings,
    seed: int,
) -> list[ensemble.Member]:  # fmt: skip
    """The student and, where it is trained and wanted, its twin: the same rows, views and start."""
    seen = dict.fromkeys((*card.bands, *lesson.bands))
    batch = plan.published.batch
    agree(wanted(train, card.bands), wanted(test, card.bands))
    ours = load(wanted(train, seen), {"label": labels[0]} | lesson.extra, plan.resident, batch)
    theirs = load(wanted(test, card.bands), {"label": labels[1]}, plan.resident, batch)
    truth = labels[0].numpy()
    back = holdout.held_out(truth, holdout.cities(train), plan.validation)
    side = lessons.side_of(train, card.bands)
    loss = partial(hard_and_soft, temperature=plan.published.temperature)
    student = ensemble.Member(
        "student", card, partial(start.network, plan, len(card.classes)),
        View(card, ours.layouts, side), loss(plan.alpha, said=lesson.said(ours, side)), seed,
        ours, theirs, back if len(back) else None, image="input",
        trained=plan.checkpoint is not None,
        export=partial(tune.export, FLOAT if plan.qat else "."),
    )  # fmt: skip
    twin = dataclasses.replace(
        student, name=BASELINE, loss=loss(1.0), export=partial(tune.export, BASELINE)
    )
    return [student, twin] if plan.baseline and not plan.checkpoint else [student]
