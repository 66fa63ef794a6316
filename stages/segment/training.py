"""From tile files to the product: the training, what is measured, what is written."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import save as pack
from torch import nn

from shared import models
from shared.errors import StageError
from shared.segmentation import (
    check_views,
    data,
    fitting,
    learner,
    objective,
    onnx_file,
    pyramids,
)
from shared.training.loop import Plateau, Recipe
from shared.training.parallel import distributed
from shared.training.records import events, profiles
from shared.unfinished import work
from stages.segment import product, start, teachers
from stages.segment.settings import Settings

WORK = "work"  # folder inside the unfinished product: the checkpoint
Streams = dict[str, data.TileStream]


def train_network(
    train: Path, validation: Path, test: Path | None, dst: Path, settings: Settings
) -> None:
    """Train, measure and write; what an earlier run did is kept.

    Args:
        train: tile file of the training split.
        validation: tile file that chooses the epoch.
        test: tile file that is measured at the end, if any.
        dst: product folder.
        settings: parameters of the stage, checked.
    """
    fabric = distributed.launch(settings.machine.device, settings.machine.precision)
    # The model file is written last: only the clean-up was left.
    if fabric.broadcast((dst / models.MODEL_FILE).exists()):
        _clean(dst)
        return
    files = {"training": train, "validation": validation} | ({"test": test} if test else {})
    streams = _open(files, settings)
    sight = _prepare_sight(streams["training"], train, settings)
    one = _build_learner(sight, train, settings)
    work.make_folder(dst)
    held_out, shown = streams["validation"], dst / events.FOLDER
    profiled = dst / profiles.FOLDER if settings.machine.profile else None
    fitting.fit(one, streams["training"], held_out, sight, dst / WORK, shown, profiled=profiled)
    network = one.network
    assert isinstance(network, pyramids.Segmenter)
    measured = {
        split: fitting.measure(one, stream, sight)
        for split, stream in streams.items()
        if split != "training"
    }
    product.draw_examples(dst, one, streams[list(measured)[-1]], sight)
    difference = _write_network(dst, network.cpu().eval())
    product.write_results(dst, one, sight.card, measured, _describe(settings, network, difference))
    models.save(dst, [sight.card], onnx_difference=difference, **{teachers.BUILT: _built(settings)})
    _clean(dst)


def _clean(dst: Path) -> None:
    """Remove the checkpoint, which only the first of several processes has."""
    shutil.rmtree(dst / WORK, ignore_errors=True)


def _open(files: dict[str, Path], settings: Settings) -> Streams:
    """The tile files by split.

    Raises:
        StageError: other classes than those of the training split, or too few tiles.
    """
    streams = {
        split: data.TileStream(path, settings.machine.resident) for split, path in files.items()
    }
    first = streams["training"]
    for path, stream in zip(files.values(), streams.values(), strict=True):
        if stream.classes != first.classes:
            expected = f"expected the classes {', '.join(first.classes)} of {files['training']}"
            raise StageError(f"{path}: {expected}, found {', '.join(stream.classes)}")
    if len(first) < 2:
        raise StageError(f"{files['training']}: expected two tiles or more, found {len(first)}")
    check_views(settings.views, first.side)
    return streams


def _prepare_sight(stream: data.TileStream, train: Path, settings: Settings) -> fitting.Sight:
    side = stream.side if settings.views.augment == "none" else settings.views.crop
    return fitting.Sight(settings.views, start.build_card(settings.network, train, side))


def _build_learner(sight: fitting.Sight, train: Path, settings: Settings) -> learner.MaskLearner:
    """What is trained, with its first weights."""
    card, descent, teaching = sight.card, settings.descent, settings.teaching
    masks = start.build_loss(settings.loss, train, card.classes)
    teacher = teachers.read(teaching.teacher, card) if teaching.teacher else None
    alpha = teaching.alpha if teacher else 1.0
    network = start.build_network(settings.network, len(card.classes), settings.seed)
    return learner.MaskLearner(
        network, objective.Objective(masks, teacher, alpha, teaching.temperature),
        _build_recipe(settings), seed=settings.seed, classes=len(card.classes),
        parts=descent.accumulate,
    )  # fmt: skip


def _build_recipe(settings: Settings) -> Recipe:
    descent, machine = settings.descent, settings.machine
    return Recipe(
        epochs=descent.epochs, batch=descent.batch * descent.accumulate, lr=descent.lr,
        seed=settings.seed, optimiser=descent.optimiser, weight_decay=descent.weight_decay,
        schedule="plateau", clip=descent.clip, device=machine.device, precision=machine.precision,
        keep_best=True, patience=descent.patience, monitor=learner.MONITOR,
        plateau=Plateau(
            descent.plateau_factor, descent.plateau_patience, descent.lowest_lr, learner.MONITOR
        ),
    )  # fmt: skip


def _write_network(dst: Path, network: nn.Module) -> float:
    """network.safetensors and network.onnx; how far the latter's logits are from the network's."""
    tensors = {name: of.contiguous() for name, of in network.state_dict().items()}
    # By our own write: on a full volume its error says so.
    (dst / teachers.TENSORS).write_bytes(pack(tensors))
    return onnx_file.export_network(network, dst / start.ONNX)


def _built(settings: Settings) -> dict[str, Any]:
    """The flags that build the network, for those who read its tensors."""
    wanted = settings.network
    return {"level": wanted.level, "taps": wanted.taps, "width": wanted.width}


def _describe(settings: Settings, network: pyramids.Segmenter, difference: float) -> dict[str, Any]:
    """What metrics.json says of the run."""
    groups = (settings.loss, settings.descent, settings.views)
    said: dict[str, Any] = {"architecture": settings.network.architecture, **_built(settings)}
    for group in groups:
        said |= dataclasses.asdict(group)
    said |= {"frozen": settings.network.frozen, "seed": settings.seed}
    if settings.teaching.teacher:
        said |= {"alpha": settings.teaching.alpha, "temperature": settings.teaching.temperature}
    return said | {"onnx_difference": difference, "parameters": count(network)}


def count(network: nn.Module) -> int:
    """Numbers that a network has learned or could have."""
    return sum(of.numel() for of in network.parameters())
