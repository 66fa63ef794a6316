"""What a training starts from: the network, its learner, which parts it sees, its units."""

from typing import Any

import torch

from shared import sisr, sisr_networks
from shared.errors import StageError
from shared.sisr_networks import discriminators
from shared.training.loop import Recipe
from stages.sisr_train import adversary, bands
from stages.sisr_train.learner import MONITOR, PairLearner, Restarts
from stages.sisr_train.objective import Objective, Scale
from stages.sisr_train.parts import Cutter
from stages.sisr_train.settings import Settings

LEAST = 1e-4  # deviation of a band that is the same everywhere: one level of the pair file
DIGITS = 6  # of mean and deviation


def build_network(settings: Settings, layout: bands.Layout) -> sisr_networks.Enlarger:
    """The network with its first weights.

    Raises:
        StageError: an unknown name, weights that do not fit.
    """
    torch.manual_seed(settings.seed)
    count = len(layout.names)
    network = sisr_networks.build(settings.network.architecture, count, count, layout.factor)
    if settings.network.weights:
        sisr_networks.load_weights(network, settings.network.weights)
    return network


def build_learner(
    network: sisr_networks.Enlarger, border: int, layout: bands.Layout, settings: Settings
) -> PairLearner:
    """What is trained: alone, or against another network that judges what it makes."""
    given: dict[str, Any] = {
        "network": network, "objective": Objective(border, settings.views.wald),
        "recipe": build_recipe(settings), "seed": settings.seed,
        "restarts": Restarts(settings.descent.t_0, settings.descent.t_mult),
    }  # fmt: skip
    how, count = settings.adversary, layout.referenced
    if how.adversarial == "none":
        return PairLearner(**given)
    side = (settings.views.crop or layout.side) * layout.factor - 2 * border
    least = discriminators.SMALLEST[how.discriminator]
    if side < least:
        expected = f"expected {least} output pixels of a side inside the border for it"
        raise StageError(f"--discriminator={how.discriminator}: {expected}, found {side}")
    judge = discriminators.build_discriminator(how.discriminator, count, settings.seed)
    mtf = tuple(layout.mtf[name] for name in layout.names[:count])
    sight = adversary.HighPass(mtf, layout.factor) if how.high_pass else None
    return adversary.AdversarialLearner(judge, sight, how, **given)


def choose_parts(settings: Settings, layout: bands.Layout, margin: int) -> tuple[Cutter, int]:
    """Which parts of rows training sees, and the border that does not count.

    Raises:
        StageError: parts that are larger than a row, or of which nothing counts.
    """
    views, factor, side = settings.views, layout.factor, layout.side
    crop = views.crop or side
    unlike = layout.referenced < len(layout.names)
    if crop > side:
        raise StageError(f"--crop: expected at most the {side} pixels of a row, found {crop}")
    unit = 2 * factor if unlike and views.wald else 1
    if crop % unit or side % unit:
        expected = f"expected a multiple of {unit}, as bands without a reference need"
        raise StageError(f"--crop: {expected}, found {crop} of {side}")
    if not unlike and views.wald != type(views).wald:
        expected = "concerns bands without a reference"
        raise StageError(f"--wald: {expected}, found one for each of {', '.join(layout.names)}")
    border = margin if views.border is None else views.border
    smallest = crop if unit > 1 else crop * factor  # output pixels of a side
    if 2 * border >= smallest:
        what = "the margin of the network" if views.border is None else f"--border {border}"
        raise StageError(
            f"--border: {what}, {border} output pixels at each side, leaves nothing of "
            f"{smallest}; give a smaller --border or a larger --crop"
        )
    return Cutter(side, crop, unit, views.flips), border


def measure_scale(pairs: sisr.Pairs, layout: bands.Layout) -> Scale:
    """Mean and deviation of the input's bands over the training rows."""
    images = ["low", "coarse"] if layout.coarse else ["low"]
    parts = [pairs.statistics(image) for image in images]
    means, deviations = zip(*parts, strict=True)
    mean = tuple(round(float(value), DIGITS) for of in means for value in of)
    std = tuple(round(max(float(value), LEAST), DIGITS) for of in deviations for value in of)
    return Scale(mean, std)


def build_recipe(settings: Settings) -> Recipe:
    """How the engine trains."""
    descent, machine = settings.descent, settings.machine
    return Recipe(
        epochs=descent.epochs, batch=descent.batch, lr=descent.lr, seed=settings.seed,
        optimiser="adam", weight_decay=0.0, augment="none", device=machine.device,
        precision=machine.precision, monitor=MONITOR,
        keep_best=settings.adversary.adversarial == "none",
    )  # fmt: skip
