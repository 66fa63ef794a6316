"""Training the members of an ensemble one after the other, and writing what they make together."""

import dataclasses
import gc
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared import model
from shared.learn import engine, networks
from shared.learn.learner import History, Loss, Recipe
from shared.learn.product import Result, write
from shared.learn.split import Split
from shared.learn.view import View

Export = Callable[[nn.Module, dict[str, Tensor], Path], float]
WORK = "work"  # folder inside the unfinished product: checkpoints and what finished members said


@dataclasses.dataclass(frozen=True)
class Member:
    """One network to train.

    Attributes:
        name: "member-01", also the stem of its ONNX file.
        card: what it eats.
        network: makes it, untrained.
        train: training rows.
        test: test rows, of the same parts.
        side: patch side in Sentinel pixels.
        held_out: (M,) row numbers of `train` kept back to measure each epoch, if any.
        image: name of the ONNX input that takes the image.
        trained: whether `network` makes one that is trained already, elsewhere.
        export: writes the ONNX file as `networks.to_onnx` does; the largest logit difference.
    """

    name: str
    card: model.Card
    network: Callable[[], nn.Module]
    train: Split
    test: Split
    side: int
    held_out: NDArray[np.intp] | None = None
    image: str = "image"
    trained: bool = False
    export: Export = networks.to_onnx

    @property
    def number(self) -> int:
        """Zero-based number of "member-NN"."""
        return int(self.name.rpartition("-")[2]) - 1


def train(dst: Path, member: Member, loss: Loss, recipe: Recipe) -> Result:
    """Train one member unless it is, or take up what an earlier run finished of it."""
    done = dst / WORK / f"{member.name}.json"
    if done.exists():
        return _finished(dst, member, done)
    torch.manual_seed(recipe.seed)
    network = member.network()
    view = view_of(member)
    checkpoint = dst / WORK / f"{member.name}.ckpt"
    history = History()
    if not member.trained:
        history = engine.fit(
            network, view, member.train, loss, recipe, checkpoint, member.name, member.held_out
        )
    for name, split in (("train", member.train), ("test", member.test)):
        _save(dst / WORK / f"{member.name}-{name}.npy", engine.logits(network, view, split, recipe))
    difference = member.export(network, example(member, view), dst / member.card.file)
    draft = done.with_suffix(".draft")
    draft.write_text(json.dumps({"series": history.series, "difference": difference}))
    draft.replace(done)
    checkpoint.unlink(missing_ok=True)
    return _finished(dst, member, done)


def view_of(member: Member) -> View:
    """The view that a member's card describes."""
    card = member.card
    return View(
        member.train.parts,
        card.mean,
        card.std,
        card.size,
        card.interpolation,
        member.side,
        card.eight_bit,
    )


def example(member: Member, view: View) -> dict[str, Tensor]:
    """The first test rows by ONNX input name: the image's, and `tda` where there are features."""
    batch = member.test[range(min(8, len(member.test)))]
    inputs = {member.image: view.cpu()(batch)}
    return inputs | ({"tda": batch["tda"].float()} if "tda" in batch else {})


def _finished(dst: Path, member: Member, done: Path) -> Result:
    found = json.loads(done.read_text())
    said = [np.load(dst / WORK / f"{member.name}-{name}.npy") for name in ("train", "test")]
    return Result(member.card, said[0], said[1], found["series"], found["difference"])


def _save(path: Path, array: NDArray[np.float32]) -> None:
    np.save(path.with_suffix(".draft.npy"), array)
    path.with_suffix(".draft.npy").replace(path)


def train_all(
    dst: Path,
    members: Iterable[Member],
    loss: Loss,
    recipe: Recipe,
    labels: tuple[Tensor, Tensor],
) -> None:
    """Train all members and write the product: ONNX files, model.json, scores, curves, pictures.

    Args:
        dst: product folder.
        members: made one at a time, so that only one member's rows are in memory.
        loss: of a batch.
        recipe: seeds count up from its seed, one a member.
        labels: class numbers of the training and the test split.
    """
    if (dst / model.NAME).exists():  # written last: only the clean-up was left
        shutil.rmtree(dst / WORK, ignore_errors=True)
        return
    (dst / WORK).mkdir(parents=True, exist_ok=True)
    results = []
    for member in members:
        seeded = dataclasses.replace(recipe, seed=recipe.seed + member.number)
        results.append(train(dst, member, loss, seeded))
        del member
        gc.collect()  # its rows, which Lightning holds in cycles, go before the next one's come
    write(dst, results, labels)
    shutil.rmtree(dst / WORK)
