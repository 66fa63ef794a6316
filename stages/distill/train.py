"""The student, its twin without a teacher, the student before fine-tuning, and what they leave."""

import dataclasses
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from shared import models, patches
from shared.training import ensemble
from shared.training.data import (
    Split,
    View,
    check_same_storage,
    holdout,
    load_split,
    locate_inputs,
    read_label_pair,
)
from shared.training.loop import Recipe, check_held_out
from shared.training.records import results
from stages.distill import (
    checkpoint,
    initial_network,
    lead,
    qat_training,
    teacher_logits,
    teacher_targets,
)
from stages.distill.loss import choose_term, hard_and_soft
from stages.distill.settings import Settings
from stages.distill.teacher_targets import Targets

BASELINE, FLOAT = "baseline", "float"
Labels = tuple[Tensor, Tensor]


def train_student(train: Path, test: Path, dst: Path, settings: Settings) -> None:
    """Train student and twin, and write the product.

    Args:
        train: patch file of the training split.
        test: patch file of the test split.
        dst: product folder.
        settings: parameters of the stage, checked.
    """
    if (dst / models.MODEL_FILE).exists():  # written last: only the clean-up was left
        _clean(dst)
        return
    recipe = _build_recipe(settings)
    card = _build_card(train, settings)
    labels = read_label_pair(train, test, card.classes)
    held_out = holdout.hold_out((train,), labels[0].numpy(), settings.held_out.validation)
    dropped = settings.suspects.choose(labels[0].numpy(), card.classes, held_out)
    targets = teacher_targets.prepare(
        (train, test), labels, card.classes, settings, dst / ensemble.WORK, held_out
    )
    clean = lead.is_clean(train, own=settings.teacher.teacher is not None)
    if settings.is_training:
        truth = labels[0].numpy()[held_out]
        lead.tell(lead.doubt_teacher(targets.validation, truth, card.classes))
    members = [
        dataclasses.replace(member, dropped=dropped if len(dropped) else None)
        for member in _build_members((train, test), card, labels, targets, held_out, settings)
    ]
    trained = ensemble.train_members(dst, members, recipe)
    more = _describe_run(settings) | ({"dropped": len(dropped)} if len(dropped) else {})
    if len(members) > 1:
        alone = results.write_score_folder(dst / BASELINE, trained[1:], labels)
        more["baseline_accuracy"] = alone["overall_accuracy"]
        found = lead.describe_lead(targets.validation, trained[1].series, clean)
        lead.tell(lead.doubt_lead(found))
        more |= found
    result = trained[0]
    if settings.tuning.qat:
        result, more["qat"] = _fine_tune(dst, members[0], result, labels, settings)
    if targets.accuracy is not None:
        reached = float((result.test_logits.argmax(1) == labels[1].numpy()).mean())
        retention = reached / targets.accuracy if targets.accuracy else 0.0
        more |= {"teacher_accuracy": targets.accuracy, "retention": retention}
    results.write_score_folder(dst, [result], labels, **more)
    _clean(dst)


def _build_recipe(settings: Settings) -> Recipe:
    """How the student is trained."""
    preset, machine, held_out = settings.preset, settings.machine, settings.held_out
    check_held_out(held_out, preset.schedule if settings.is_training else "")
    return Recipe(
        epochs=preset.epochs, batch=preset.batch, lr=preset.lr, seed=settings.seed,
        optimiser=preset.optimiser, weight_decay=preset.weight_decay, schedule=preset.schedule,
        augment=settings.student.augment, balance=settings.sampling.balance,
        mixup=settings.sampling.mixup,
        device=machine.device, precision=machine.precision,
        keep_best=held_out.validation > 0, patience=held_out.patience, monitor=held_out.monitor,
        min_improvement=held_out.min_improvement,
    )  # fmt: skip


def _fine_tune(
    dst: Path, member: ensemble.Member, plain: results.Result, labels: Labels, settings: Settings
) -> tuple[results.Result, dict[str, Any]]:
    before = results.write_score_folder(dst / FLOAT, [plain], labels)
    final = dataclasses.replace(member, **qat_training.into(".", member.card))
    student, tuning = settings.student, settings.tuning
    recipe = dataclasses.replace(_build_recipe(settings), epochs=tuning.qat, lr=tuning.qat_lr)
    classes, channels = len(member.card.classes), len(student.bands)

    def read(path: Path) -> nn.Module:
        return checkpoint.read(path, student.architecture, channels, classes, member.card.size)

    truth = labels[1].numpy()
    scheme = tuning.qat_scheme if tuning.qat_rounding else None
    result, facts = qat_training.fine_tune(dst, final, read, truth, recipe, scheme)
    return result, {"float_before": before["overall_accuracy"]} | facts


def _clean(dst: Path) -> None:
    shutil.rmtree(dst / ensemble.WORK, ignore_errors=True)


def _describe_run(settings: Settings) -> dict[str, Any]:
    """What metrics.json says of the run, with the student's own defaults filled in."""
    own = dataclasses.asdict(settings.preset)
    if settings.student.checkpoint:  # trained elsewhere, nobody knows how
        own = {name: own[name] for name in ("size", "temperature")}
    teacher = settings.teacher
    taken = {"loss": settings.matching.loss, "standardise": settings.matching.standardise}
    said = {"recipe": settings.recipe, "seed": settings.seed}
    said |= {"alpha": teacher.alpha, "targets": teacher.targets}
    mixed = {"mixup": settings.sampling.mixup} if settings.sampling.mixup else {}
    return said | taken | own | mixed


def _build_card(train: Path, settings: Settings) -> models.Card:
    student = settings.student
    with patches.read(train, "label") as source:
        mean, std = models.band_statistics(source, student.bands, student.decimals)
        classes = source.classes
        initial_network.check(student, settings.preset.size, len(classes))
        card = models.Card(
            file="student.onnx", architecture=student.architecture, bands=student.bands, mean=mean,
            std=std, size=settings.preset.size, interpolation=student.interpolation,
            classes=classes, eight_bit=student.eight_bit, decimals=student.decimals,
        )  # fmt: skip
        return models.fit_range(card, source) if student.range == "fitted" else card


def _build_members(
    files: tuple[Path, Path], card: models.Card, labels: Labels, targets: Targets,
    held_out: NDArray[np.intp], settings: Settings,
) -> list[ensemble.Member]:  # fmt: skip
    """The student and, for --baseline, its twin: both have the same rows, views and start."""
    student = settings.student
    ours, theirs = _load_splits(files, card, labels, targets, settings)
    side = teacher_logits.read_side(files[0], card.bands)
    loss = partial(hard_and_soft, temperature=settings.preset.temperature)
    distillation = loss(
        settings.teacher.alpha, teacher=targets.logits_of(ours, side),
        term=choose_term(settings.matching),
    )  # fmt: skip
    member = ensemble.Member(
        name="student", card=card,
        network=partial(initial_network.build, student, card.size, len(card.classes)),
        view=View(card, ours.layouts, side), loss=distillation,
        seed=settings.seed, train=ours, test=theirs, held_out=held_out if len(held_out) else None,
        image="input", trained=student.checkpoint is not None,
        beside=tuple(one.network for one in targets.teachers if one.network is not None),
        **qat_training.into(FLOAT if settings.tuning.qat else ".", card),
    )  # fmt: skip
    twin = dataclasses.replace(
        member,
        name=BASELINE,
        loss=loss(1.0),
        beside=(),
        **qat_training.into(BASELINE, card),
    )
    return [member, twin] if student.baseline and not student.checkpoint else [member]


def _load_splits(
    files: tuple[Path, Path], card: models.Card, labels: Labels, targets: Targets,
    settings: Settings,
) -> tuple[Split, Split]:  # fmt: skip
    """Training rows with the bands of student and teachers, and test rows."""
    (train, test), resident = files, settings.machine.resident
    batch, seen = settings.preset.batch, dict.fromkeys((*card.bands, *targets.bands))
    check_same_storage(locate_inputs(train, card.bands), locate_inputs(test, card.bands))
    extra = {"label": labels[0]} | targets.extra
    ours = load_split(locate_inputs(train, seen), extra, resident, batch)
    return ours, load_split(locate_inputs(test, card.bands), {"label": labels[1]}, resident, batch)
