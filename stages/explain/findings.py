"""What a network says of one row, and the maps of where it looked."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from shared import models
from shared.errors import StageError
from shared.models import scores
from shared.patches import Source
from stages.explain import attribution
from stages.explain.classifiers import Classifier, Member, join
from stages.explain.settings import Maps

GRAD_CAM, OCCLUSION = "Grad-CAM", "occlusion"


@dataclass(frozen=True)
class Looker:
    """A network and how it is looked into.

    Attributes:
        classifier: the network.
        layers: of each member, those of Grad-CAM by name; none where it has no torch module.
        occlusion: side of the covered square in pixels of the patch, 0 for none.
        shape: height and width of the patches.
    """

    classifier: Classifier
    layers: tuple[dict[str, nn.Module], ...]
    occlusion: int
    shape: tuple[int, int]


@dataclass(frozen=True)
class Drawn:
    """One map.

    Attributes:
        method: Grad-CAM or occlusion.
        layer: of Grad-CAM, else "".
        values: (H, W) 0 … 1.
        correlation: of the ranks of Grad-CAM and occlusion, None where there is one of them only
            or one of them is flat.
    """

    method: str
    layer: str
    values: NDArray[np.float32]
    correlation: float | None = None


@dataclass(frozen=True)
class Finding:
    """One row seen by one network.

    Attributes:
        row: of the patch file.
        label: true class.
        looker: the network.
        predicted: class it says.
        score: probability of that class.
        maps: where it looked.
    """

    row: int
    label: int
    looker: Looker
    predicted: int
    score: float
    maps: tuple[Drawn, ...]

    @property
    def is_right(self) -> bool:
        """Whether the class is the true one."""
        return self.predicted == self.label


def prepare(classifiers: list[Classifier], source: Source, maps: Maps) -> list[Looker]:
    """How to look into each network.

    Raises:
        StageError: a layer that no network has, a square larger than the patch, nothing to draw.
    """
    dataset = models.locate_bands(source, classifiers[0].bands)[0][0]
    height, width = source[dataset].shape[1:3]
    shape = (height, width)
    if maps.occlusion > min(shape):
        raise StageError(f"--occlusion: expected 0 to {min(shape)}, found {maps.occlusion}")
    there = [[_layers(member, source) for member in one.members] for one in classifiers]
    attribution.refuse_unknown(maps.layers, [layers for several in there for layers in several])
    made = []
    for one, several in zip(classifiers, there, strict=True):
        chosen = tuple(
            {name: layers[name] for name in attribution.choose_layers(layers, maps.layers)}
            for layers in several
        )
        made.append(Looker(one, chosen, maps.occlusion, shape))
        if not any(chosen) and not maps.occlusion:
            raise StageError(
                f"{one.name}: expected --occlusion of at least 1, as it has no layers for Grad-CAM"
            )
    return made


def _layers(member: Member, source: Source) -> dict[str, nn.Module]:
    if member.network is None:
        return {}
    return attribution.list_layers(member.network, member.read(source, [0])[0])


def look(looker: Looker, source: Source, row: int, label: int) -> Finding:
    """What a classifier says of a row, and why: maps of an ensemble are means over its members."""
    members = looker.classifier.members
    images = [member.read(source, [row])[0] for member in members]
    logits = join([o.logits(image[None]) for o, image in zip(members, images, strict=True)])
    target = int(logits[0].argmax())
    maps = _draw_gradients(looker, images, target)
    if looker.occlusion:
        falls = [
            attribution.occlude(member.logits, image, target, looker.shape, looker.occlusion)
            for member, image in zip(members, images, strict=True)
        ]
        fall = np.asarray(np.mean(falls, 0), np.float32)
        maps = list(_correlate(maps, fall))
        maps.append(Drawn(OCCLUSION, "", share_of_largest(fall)))
    score = float(scores.softmax(logits)[0, target])
    return Finding(row, label, looker, target, score, tuple(maps))


def _draw_gradients(looker: Looker, images: list[NDArray[np.float32]], target: int) -> list[Drawn]:
    """Grad-CAM of each layer; the mean of the members that have a layer of that name."""
    drawn: dict[str, list[NDArray[np.float32]]] = {}
    parts = zip(looker.classifier.members, looker.layers, images, strict=True)
    for member, layers, image in parts:
        if member.network is not None:
            for name, layer in layers.items():
                values = attribution.grad_cam(member.network, layer, image, target, looker.shape)
                drawn.setdefault(name, []).append(values)
    return [
        Drawn(GRAD_CAM, name, np.asarray(np.mean(maps, 0), np.float32))
        for name, maps in drawn.items()
    ]


def share_of_largest(fall: NDArray[np.float32]) -> NDArray[np.float32]:
    """Falls of a logit as shares of the largest one; where it rises there is nothing to show."""
    positive = fall.clip(0)
    return np.asarray(positive / (positive.max() if positive.max() > 0 else 1), np.float32)


def _correlate(maps: list[Drawn], fall: NDArray[np.float32]) -> Iterable[Drawn]:
    for drawn in maps:
        alike = attribution.correlate_ranks(drawn.values, fall)
        yield dataclasses.replace(drawn, correlation=alike)
