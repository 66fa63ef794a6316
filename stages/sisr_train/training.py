"""From a pair file to the product: corrections, the training, what is measured and written."""

import dataclasses
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as pack

from shared import sisr, sisr_networks
from shared.errors import StageError
from shared.sisr import cards
from shared.sisr_networks import building
from shared.training.loop import Recipe
from shared.training.parallel import distributed
from shared.training.records import events
from stages.sisr_train import bands, corrections, export, fitting, measuring, product
from stages.sisr_train.learner import MONITOR, Objective, PairLearner, Restarts, Scale
from stages.sisr_train.parts import Cutter
from stages.sisr_train.prepared import Prepared, make_images, prepare
from stages.sisr_train.settings import Settings

WORK, TENSORS = "work", "network.safetensors"
LEAST = 1e-4  # deviation of a band that is the same everywhere: one level of the pair file
DIGITS = 6  # of mean and deviation


def train_network(src: Path, dst: Path, settings: Settings) -> None:
    """Train, measure and write; what an earlier run did is kept.

    Args:
        src: pair file.
        dst: product folder.
        settings: parameters of the stage, checked.
    """
    fabric = distributed.launch(settings.machine.device, settings.machine.precision)
    # The card is written last: only the clean-up was left.
    if fabric.broadcast((dst / cards.FILE).exists()):
        shutil.rmtree(dst / WORK, ignore_errors=True)
        return
    with sisr.Pairs(src) as pairs:
        layout = bands.read_layout(pairs)
        network = build_network(settings, layout)
        cutter, border = choose_parts(settings, layout, network.margin)
        scale = measure_scale(pairs, layout)
        rows = prepare_rows(pairs, layout, settings)
    one = PairLearner(
        network, Objective(border, settings.views.wald), build_recipe(settings),
        Restarts(settings.descent.t_0, settings.descent.t_mult), settings.seed,
    )  # fmt: skip
    dst.mkdir(parents=True, exist_ok=True)
    train = fitting.Rows(rows.pop("training"), cutter, scale)
    fitting.fit(one, train, rows["validation"], dst / WORK, dst / events.FOLDER)
    measured = {
        split: measuring.measure(network, of, scale, border, fabric) for split, of in rows.items()
    }
    _write(dst, one, (layout, scale, border), measured, settings, rows[list(rows)[-1]])
    shutil.rmtree(dst / WORK, ignore_errors=True)


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


def prepare_rows(
    pairs: sisr.Pairs, layout: bands.Layout, settings: Settings
) -> dict[str, Prepared]:
    """Corrected rows for training, validation and, where the file has some, test.

    Raises:
        StageError: no rows for training or validation, nobody to say where things are.
    """
    targets, made = settings.targets, {}
    flows = corrections.choose_flows(targets.registration, targets.known_flow, pairs)
    wald = settings.views.wald > 0 and layout.referenced < len(layout.names)
    for split, name in (
        ("training", "training"),
        ("validation", "validation"),
        ("testing", "test"),
    ):
        if name == "test" and not len(pairs.rows(split)):
            continue
        count = targets.rows if name == "training" and targets.rows else len(pairs.split)
        make = partial(
            make_images, layout=layout, mode=targets.mode, flows=flows,
            wald=wald and name == "training", told=name != "training",
        )  # fmt: skip
        chosen = pairs.choose(split, count, targets.min_correlation)
        made[name] = prepare(pairs, chosen, make, f"prepare {name}")
    return made


def build_recipe(settings: Settings) -> Recipe:
    """How the engine trains."""
    descent, machine = settings.descent, settings.machine
    return Recipe(
        epochs=descent.epochs, batch=descent.batch, lr=descent.lr, seed=settings.seed,
        optimiser="adam", weight_decay=0.0, augment="none", device=machine.device,
        precision=machine.precision, keep_best=True, monitor=MONITOR,
    )  # fmt: skip


def _write(
    dst: Path, one: PairLearner, made: tuple[bands.Layout, Scale, int],
    measured: dict[str, measuring.Errors], settings: Settings, shown: Prepared,
) -> None:  # fmt: skip
    """All files of the product, the card last."""
    layout, scale, border = made
    network: Any = one.network.cpu().eval()
    tensors = {name: of.contiguous() for name, of in network.network.state_dict().items()}
    # By our own write: on a full volume its error says so.
    (dst / TENSORS).write_bytes(pack(tensors))
    difference = export.export_network(network, scale, dst / cards.ONNX)
    product.draw_example(dst / product.PICTURE, network, shown, scale, layout.names)
    facts = {
        "architecture": settings.network.architecture, "mode": settings.targets.mode,
        "known_flow": settings.targets.known_flow, "border": border,
        "min_correlation": settings.targets.min_correlation, **dataclasses.asdict(settings.descent),
        "seed": settings.seed, "parameters": building.count(network),
        "onnx_difference": difference,
    }  # fmt: skip
    product.write_results(dst, one, layout.names, measured, facts)
    card = cards.Card(
        bands=layout.names, made=layout.names, metres=layout.metres, factor=layout.factor,
        margin=network.margin, architecture=settings.network.architecture,
        mode=settings.targets.mode, mtf=layout.mtf, mean=scale.mean, std=scale.std,
    )  # fmt: skip
    cards.write(dst, card)
