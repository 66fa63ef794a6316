"""From a pair file to the product: corrections, the training, what is measured and written."""

import dataclasses
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import save as pack

from shared import sisr
from shared.sisr import cards
from shared.sisr_networks import building
from shared.training.parallel import distributed
from shared.training.records import events
from shared.unfinished import work
from stages.sisr_train import bands, corrections, export, fitting, measuring, product, start
from stages.sisr_train.learner import PairLearner
from stages.sisr_train.objective import Scale
from stages.sisr_train.prepared import Prepared, make_images, prepare
from stages.sisr_train.settings import Settings

WORK, TENSORS = "work", "network.safetensors"


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
        network = start.build_network(settings, layout)
        cutter, border = start.choose_parts(settings, layout, network.margin)
        scale = start.measure_scale(pairs, layout)
        rows = prepare_rows(pairs, layout, settings)
    one = start.build_learner(network, border, layout, settings)
    work.make_folder(dst)
    train = fitting.Rows(rows.pop("training"), cutter, scale)
    fitting.fit(one, train, rows["validation"], dst / WORK, dst / events.FOLDER)
    measured = {
        split: measuring.measure(network, of, scale, border, fabric) for split, of in rows.items()
    }
    _write(dst, one, (layout, scale, border), measured, settings, rows[list(rows)[-1]])
    shutil.rmtree(dst / WORK, ignore_errors=True)


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
        **dataclasses.asdict(settings.adversary), "seed": settings.seed,
        "parameters": building.count(network), "onnx_difference": difference,
    }  # fmt: skip
    product.write_results(dst, one, layout.names, measured, facts)
    card = cards.Card(
        bands=layout.names, made=layout.names, metres=layout.metres, factor=layout.factor,
        margin=network.margin, architecture=settings.network.architecture,
        mode=settings.targets.mode, mtf=layout.mtf, mean=scale.mean, std=scale.std,
        grid=network.grid,
    )  # fmt: skip
    cards.write(dst, card)
