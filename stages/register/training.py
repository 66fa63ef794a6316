"""From a pair file to the product: the training, what is measured, what is written."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as pack

from shared import registration, sisr
from shared.training.loop import Recipe
from shared.training.parallel import distributed
from shared.training.records import events, results
from shared.unfinished import work
from stages.register import fitting, images, measures, onnx_file, pictures
from stages.register.learner import FlowLearner
from stages.register.settings import Settings

WORK = "work"  # folder inside the unfinished product: the checkpoint
PICTURE = "flow.png"


def train_network(src: Path, dst: Path, settings: Settings) -> None:
    """Train, measure and write; what an earlier run did is kept.

    Args:
        src: pair file.
        dst: product folder.
        settings: parameters of the stage.

    Raises:
        StageError: the band, the rows or the sizes of the file do not do.
    """
    fabric = distributed.launch(settings.device, "float32")
    # The card is written last: only the clean-up was left.
    if not fabric.broadcast((dst / registration.CARD).exists()):
        with sisr.Pairs(src) as pairs:
            band = images.choose_band(pairs, settings.band, settings.network.max_offset)
            learner = _train(pairs, band, dst, settings)
            measured, shown = _measure(pairs, band, learner)
        _write(dst, learner, band, measured, settings)
        pictures.draw(dst / PICTURE, *shown)
        _write_card(dst, learner, band)
    shutil.rmtree(dst / WORK, ignore_errors=True)


def _train(pairs: sisr.Pairs, band: images.Band, dst: Path, settings: Settings) -> FlowLearner:
    """The network, trained, with the weights of its best epoch."""
    learning = settings.learning
    rows = pairs.choose("training", learning.rows, learning.correlation)
    held = pairs.choose("validation", fitting.HELD, learning.correlation)
    learned = images.read(pairs, rows, band, "read training")
    held_out = images.read(pairs, held, band, "read validation")
    torch.manual_seed(settings.seed)
    network = registration.RegistrationNetwork(
        registration.Size(**dataclasses.asdict(settings.network))
    )
    recipe = Recipe(
        epochs=learning.epochs, batch=learning.batch, lr=learning.lr, seed=settings.seed,
        optimiser="adam", weight_decay=0.0, schedule="cosine", device=settings.device,
        precision="float32", keep_best=True, monitor="loss",
    )  # fmt: skip
    learner = FlowLearner(network, recipe)
    work.make_folder(dst)
    fitting.fit(learner, learned, held_out, learning.crop, dst / WORK, dst / events.FOLDER)
    return learner


def _measure(
    pairs: sisr.Pairs, band: images.Band, learner: FlowLearner
) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """Every split that has rows, and what is drawn of the last one: the pair nearest the median."""
    told, network = {}, learner.network
    for split in (name for name in sisr.SPLITS if len(pairs.rows(name))):
        rows = pairs.choose(split, measures.MEASURED)
        seen = images.read(pairs, rows, band, f"read {split}")
        found = fitting.find_flows(network, seen.both, torch.device("cpu"))
        told[split] = measures.measure(seen, found, learner.size, split)
    apart = found.norm(dim=-1) if seen.flow is None else (found - seen.flow).norm(dim=-1)
    place = int(apart.mean((1, 2)).argsort()[len(rows) // 2])
    site = pairs.sites[int(pairs.source["site"].raw(slice(None))[rows[place]])]
    title = f"{split} row {rows[place]}, {site}, {band.name}"
    true = None if seen.flow is None else seen.flow[place]
    return told, (seen.both[place], found[place], true, title)


def _write(
    dst: Path, learner: FlowLearner, band: images.Band, measured: dict[str, Any],
    settings: Settings,
) -> None:  # fmt: skip
    """Weights, ONNX file, metrics and curves."""
    tensors = {name: of.contiguous() for name, of in learner.network.state_dict().items()}
    (dst / registration.TENSORS).write_bytes(pack(tensors))
    difference = onnx_file.export_network(learner.network, dst / registration.ONNX)
    content = {
        "splits": measured, "unit": "pixels of low", "band": band.name, "metres": band.metres,
        **dataclasses.asdict(settings.network), **dataclasses.asdict(settings.learning),
        "seed": settings.seed, "trained_epochs": learner.epoch, "kept_epoch": learner.kept,
        "steps": learner.log.steps, "onnx_difference": difference,
        "parameters": sum(of.numel() for of in learner.network.parameters()),
    }  # fmt: skip
    (dst / "metrics.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    results.write_curves(dst, {learner.name: learner.history.series}, {learner.name: learner.kept})


def _write_card(dst: Path, learner: FlowLearner, band: images.Band) -> None:
    """registration.json: what a `sisr.sessions.Registrar` needs to know."""
    card = {
        "band": band.name, "metres": band.metres, "mtf": band.mtf,
        **dataclasses.asdict(learner.size), "file": registration.ONNX,
    }  # fmt: skip
    (dst / registration.CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
