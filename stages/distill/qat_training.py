"""Quantisation-aware fine-tuning of a student, and what it was worth."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save as as_bytes
from torch import Tensor, nn

from shared import models
from shared.int8 import Scheme
from shared.training import ensemble, networks
from shared.training.loop import Recipe
from shared.training.records import results
from shared.unfinished import work as unfinished
from stages.distill import fake_quantise

CALIBRATION = 510  # rows for the first ranges: 30 of each of 17 classes, as Voyager is given
EXAMPLE = 8  # rows to see which batch norm follows which convolution
STUDENT = "student.safetensors"


def fine_tune(
    dst: Path,
    member: ensemble.Member,
    read: Callable[[Path], nn.Module],
    truth: NDArray[np.integer],
    recipe: Recipe,
    scheme: Scheme | None,
) -> tuple[results.Result, dict[str, Any]]:
    """Fine-tune the student that lies in ``float/``.

    Args:
        dst: product folder; what is finished stays in its work folder.
        member: the student as it is to be exported.
        read: makes the network of a file of weights.
        truth: (N,) class numbers of the test rows.
        recipe: of these epochs.
        scheme: how the ranges of activations are chosen; None goes on in float, without rounding.

    Returns:
        What the tuned student leaves; accuracies on the test rows in single precision and in fake
        INT8, before and after.
    """
    work, plain = dst / ensemble.WORK, dst / "float" / STUDENT
    kind, build = "float", partial(read, plain)
    if scheme:
        kind, build = "int8", partial(_build_fake_quantised, plain, read, member, scheme)
    pair = [
        dataclasses.replace(
            member, name=f"{kind}-before", network=build, trained=True,
            export=_export_nothing, exported=(),
        ),
        dataclasses.replace(
            member, name=f"{kind}-after", network=build, trained=False,
            export=partial(_save_plain, work / STUDENT), exported=(f"{ensemble.WORK}/{STUDENT}",),
        ),
    ]  # fmt: skip
    before, after = ensemble.train_members(dst, pair, recipe)
    final = dataclasses.replace(
        member, name="tuned", network=lambda: read(work / STUDENT), trained=True
    )
    (result,) = ensemble.train_members(dst, [final], recipe)
    reached = {
        name: float((of.test_logits.argmax(1) == truth).mean())
        for name, of in (
            (f"{kind}_before", before), (f"{kind}_after", after), ("float_after", result),
        )
    }  # fmt: skip
    result = dataclasses.replace(result, series=after.series, kept=after.kept)
    return result, {"epochs": recipe.epochs, "lr": recipe.lr, "scheme": scheme} | reached


def _build_fake_quantised(
    plain: Path, read: Callable[[Path], nn.Module], member: ensemble.Member, scheme: Scheme
) -> fake_quantise.FakeQuantised:
    """The student with ranges of training rows that are spread over the split."""
    split = member.train
    rows = np.unique(np.linspace(0, len(split) - 1, CALIBRATION).astype(np.intp))
    pieces = np.array_split(rows, -(-len(rows) // 64))
    fake = fake_quantise.FakeQuantised(read(plain), member.view(split[rows[:EXAMPLE]]), scheme)
    return fake.calibrate(member.view(split[piece]) for piece in pieces)


def save_weights(path: Path, network: nn.Module) -> None:
    """The state dict of a network as safetensors."""
    unfinished.make_folder(path.parent)
    # By our own write: on a full volume its error says so, that of `save_file` is of its own kind.
    path.write_bytes(as_bytes({name: of.contiguous() for name, of in network.state_dict().items()}))


def into(folder: str, card: models.Card) -> dict[str, Any]:
    """What makes a member write its network into a folder of the product."""
    files = tuple(str(Path(folder, name)) for name in (card.file, STUDENT))
    return {"export": partial(_export, folder), "exported": files}


def _export(folder: str, network: nn.Module, inputs: dict[str, Tensor], path: Path) -> float:
    """Write student.safetensors and the ONNX file into a folder beside `path`, as `to_onnx`."""
    place = path.parent / folder
    save_weights(place / STUDENT, network)
    return networks.to_onnx(network, inputs, place / path.name)


def _save_plain(kept: Path, network: nn.Module, *_: object) -> float:
    is_fake = isinstance(network, fake_quantise.FakeQuantised)
    save_weights(kept, network.plain() if is_fake else network)
    return 0.0


def _export_nothing(*_: object) -> float:
    return 0.0
