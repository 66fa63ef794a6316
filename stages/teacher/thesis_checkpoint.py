"""Ensembles of the thesis code: the ``.pth`` files that it writes, as starts of our members.

Its state dicts hold ``models.I.features.…`` and ``models.I.fc.…`` of every member I and, beside
them, ``bands_matrix`` (members, 3), zero-based: 0 … 9 are the bands of sen2, 10 … 17 the channels
of sen1.
"""

import re
from functools import partial
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from shared import lcz, patches
from shared.backend import weights
from shared.errors import StageError
from shared.training import Plan
from stages.teacher.member_start import Start, build_card

MATRIX = "bands_matrix"
MEMBER = re.compile(r"models\.(\d+)\.")


class Reference(nn.Module):
    """A network of the thesis code: features of torchvision's, mean over the picture, ``fc``.

    A DenseNet's features go to the mean as its last batch norm leaves them: torchvision and timm
    have a ReLU between the two, the thesis code has none.

    Args:
        architecture: a ResNet or DenseNet of torchvision.
        classes: K outputs.
    """

    def __init__(self, architecture: str, classes: int) -> None:
        super().__init__()
        whole = torchvision.models.get_model(architecture, weights=None)
        children = list(whole.children())
        dense = architecture.startswith("densenet")
        self.features = children[0] if dense else nn.Sequential(*children[:-1])
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(children[-1].in_features, classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, K) logits."""
        logits: Tensor = self.fc(self.pool(self.features(images)).flatten(1))
        return logits


def read(path: Path, train: Path, plan: Plan) -> list[Start]:
    """All members of a checkpoint, with the statistics of the training split.

    Args:
        path: ``.pth`` of tensors alone, such as Rand_resnet18.pth.
        train: patch file with the bands of So2Sat, and as many classes as the networks have.
        plan: ``architecture`` says what the networks are, ``mode`` which bands they may have.

    Raises:
        StageError: not such a file, a tensor is missing, extra or of another shape, bands that are
            not the mode's or not in the training split.
    """
    _check_architecture(plan.network.architecture)
    tensors = weights.read(path)
    rows = read_bands(path, tensors, plan.network.mode)
    with patches.read(train, "label") as source:
        cards = [
            build_card(source, number, bands_of_member, plan)
            for number, bands_of_member in enumerate(rows)
        ]
    fitted = partial(build_member, path, tensors, plan.network.architecture, len(cards[0].classes))
    fits = [fitted(number) for number in range(len(cards))]  # now, not after hours with the first
    _check_size(fits[0], plan)
    weights.say(path, tensors)
    return [Start(made, partial(fitted, number), True) for number, made in enumerate(cards)]


def _check_architecture(architecture: str) -> None:
    names = torchvision.models.list_models(torchvision.models)
    if architecture not in names or not architecture.startswith(("resnet", "densenet")):
        raise StageError(
            "--architecture: expected a ResNet or DenseNet of torchvision for --checkpoint, "
            f"found {architecture!r}"
        )


def read_bands(path: Path, tensors: weights.Tensors, mode: str) -> list[tuple[str, ...]]:
    """Band names of each member.

    Raises:
        StageError: no or another ``bands_matrix``, tensors of no member, bands of another mode.
    """
    matches = {name: MEMBER.match(name) for name in tensors if name != MATRIX}
    if strange := [name for name, match in matches.items() if not match]:
        raise StageError(
            f"{path}: expected tensors models.I.… and {MATRIX}, found {weights.list_keys(strange)}"
        )
    count = len({int(match[1]) for match in matches.values() if match})
    if MATRIX not in tensors:
        raise StageError(f"{path}: expected {MATRIX} ({count}, 3), found none: bands unknown")
    matrix = tensors[MATRIX]
    if matrix.shape != (count, 3) or matrix.is_floating_point() or not count:
        found_shape = f"{tuple(matrix.shape)} {matrix.dtype}"
        raise StageError(
            f"{path}: {MATRIX}: expected whole numbers ({count}, 3), found {found_shape}"
        )
    return [_names(path, row, mode) for row in matrix.tolist()]


def _names(path: Path, row: list[int], mode: str) -> tuple[str, ...]:
    """Band names of three numbers: in sar the last one is a channel of sen1, otherwise none is."""
    known, optical = (*lcz.SEN2.bands, *lcz.SEN1.bands), len(lcz.SEN2.bands)
    kinds = ["radar" if number >= optical else "optical" for number in row]
    last = {"rand": "optical", "randrgb": "optical", "sar": "radar"}.get(mode)
    if last is None:
        raise StageError(f"--mode: expected rand, randrgb, sar, found {mode!r}")
    if min(row) < 0 or max(row) >= len(known) or kinds != ["optical", "optical", last]:
        highest = len(known) - 1 if last == "radar" else optical - 1
        lowest = optical if last == "radar" else 0
        raise StageError(
            f"{path}: {MATRIX}: --mode={mode} expects two numbers 0 to {optical - 1} and one "
            f"{lowest} to {highest}, found {row}"
        )
    return tuple(known[number] for number in row)


def build_member(
    path: Path, tensors: weights.Tensors, architecture: str, classes: int, number: int
) -> nn.Module:
    """The network of a zero-based member; StageError names tensors that do not fit."""
    network, prefix = Reference(architecture, classes), f"models.{number}."
    own = {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    weights.fit(path, network, own, f"{architecture} ({classes} classes)", lambda n: prefix + n)
    return network


def _check_size(network: nn.Module, plan: Plan) -> None:
    """Zeros through the network, so that a size it does not take shows before data is read."""
    side = plan.network.size
    try:
        with torch.inference_mode():
            network.eval()(torch.zeros(1, 3, side, side))
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        name = plan.network.architecture
        raise StageError(f"--architecture={name}: cannot take --size={side}: {reason}") from None
