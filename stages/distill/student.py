"""The student, its twin without a teacher, and what both leave."""

import dataclasses
import shutil
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from shared import lcz, model, patches
from shared.errors import StageError
from shared.learn import ensemble, networks, product, settings
from shared.learn.learner import Recipe
from shared.learn.split import Split, label_pair, load
from stages.distill import cached
from stages.distill.loss import hard_and_soft


@dataclasses.dataclass(frozen=True)
class Settings:
    """See the parameters of ``run``."""

    architecture: str
    alpha: float
    temperature: float
    size: int
    interpolation: str
    eight_bit: bool
    validation: float
    baseline: bool
    weights: Path | None

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            StageError: names the flag.
        """
        if not 0 <= self.alpha <= 1:
            raise StageError(f"--alpha: expected 0 to 1, found {self.alpha}")
        if not self.temperature > 0:
            raise StageError(f"--temperature: expected above 0, found {self.temperature}")
        if not 0 <= self.validation <= 0.5:
            raise StageError(f"--validation: expected 0 to 0.5, found {self.validation}")


def make(train: Path, test: Path, teacher: Path, dst: Path, plan: Settings, recipe: Recipe) -> None:
    """Train student and twin, write the product."""
    plan.check()
    settings.check(recipe, plan.size, plan.interpolation)
    if (dst / model.NAME).exists():  # written last: only the clean-up was left
        _clean(dst)
        return
    card = _card(train, plan)
    labels = label_pair(train, test, card.classes)
    said, accuracy = cached.read(teacher, labels, card.classes)
    member = _member(train, test, plan, card, labels, said)
    more = {"alpha": plan.alpha, "temperature": plan.temperature, "seed": recipe.seed}
    if plan.baseline:
        twin = _train(dst / "baseline", member, 1.0, plan, recipe)
        alone = product.write(dst / "baseline", [twin], labels)
        more["baseline_accuracy"] = alone["overall_accuracy"]
    result = _train(dst, member, plan.alpha, plan, recipe)
    reached = float((result.test_logits.argmax(1) == labels[1].numpy()).mean())
    more |= {"teacher_accuracy": accuracy, "retention": reached / accuracy if accuracy else 0.0}
    product.write(dst, [result], labels, **more)
    _clean(dst)


def _train(
    dst: Path, member: ensemble.Member, alpha: float, plan: Settings, recipe: Recipe
) -> product.Result:
    (dst / ensemble.WORK).mkdir(parents=True, exist_ok=True)
    name = "student" if alpha < 1 else "baseline"
    named = dataclasses.replace(member, name=name)
    return ensemble.train(dst, named, hard_and_soft(alpha, plan.temperature), recipe)


def _clean(dst: Path) -> None:
    for folder in (dst, dst / "baseline"):
        shutil.rmtree(folder / ensemble.WORK, ignore_errors=True)


def _card(train: Path, plan: Settings) -> model.Card:
    with patches.read(train, "label") as source:
        mean, std = model.statistics(source, lcz.TRUE_COLOUR)
        classes = source.classes
    networks.check(plan.architecture, len(classes), plan.size, plan.weights)
    return model.Card(
        "student.onnx", plan.architecture, lcz.TRUE_COLOUR, mean, std, plan.size,
        plan.interpolation, classes, eight_bit=plan.eight_bit,
    )  # fmt: skip


def held_out(labels: NDArray[np.integer], share: float) -> NDArray[np.intp]:
    """The last `share` of each class's rows, in file order.

    Neighbouring rows show neighbouring places, so single rows drawn at random would leak; a run of
    each class's rows is contiguous and keeps the class shares.
    """
    rows = [np.flatnonzero(labels == k) for k in np.unique(labels)]
    return np.sort(np.concatenate([of[len(of) - round(share * len(of)) :] for of in rows]))


def _member(
    train: Path, test: Path, plan: Settings, card: model.Card,
    labels: tuple[Tensor, Tensor], said: Tensor,
) -> ensemble.Member:  # fmt: skip
    splits = [
        Split(load(path, card.bands), {"label": truth} | extra)
        for path, truth, extra in ((train, labels[0], {"teacher": said}), (test, labels[1], {}))
    ]
    network = partial(networks.build, plan.architecture, 3, len(card.classes), plan.weights)
    kept_back = held_out(labels[0].numpy(), plan.validation)
    side = splits[0].parts[0].stored.shape[1]
    return ensemble.Member(
        "student",
        card,
        network,
        splits[0],
        splits[1],
        side,
        kept_back if len(kept_back) else None,
        image="input",
    )
