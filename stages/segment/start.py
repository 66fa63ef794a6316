"""What training starts from: the network with its weights, its card, the loss."""

from pathlib import Path

import torch

from shared import models, patches, tiles
from shared.errors import StageError
from shared.segmentation import losses, networks, pyramids
from stages.segment import settings

ONNX = "network.onnx"
BANDS = ("red", "green", "blue")
DIGITS = 6  # of mean and deviation
# Source of both: the published network. Statistics of all three splits, each split counted alike.
PUBLISHED_INPUT = ((0.3686, 0.3971, 0.3442), (0.1015, 0.0897, 0.0739))
PUBLISHED_WEIGHTS = (0.5, 1.5, 0.7, 1.0, 1.3)  # background, building, woodland, water, road
SATLAS = "backbone.backbone."  # what stands before the names of torchvision in its files


def build_network(wanted: settings.Network, classes: int, seed: int) -> pyramids.Segmenter:
    """The network with its first weights, some of its groups frozen.

    Raises:
        StageError: an unknown name, weights that do not fit, more frozen groups than there are.
    """
    torch.manual_seed(seed)
    network = networks.build(
        wanted.architecture, classes, level=wanted.level, taps=wanted.taps, width=wanted.width
    )
    if wanted.weights:
        networks.load_backbone(network, wanted.weights)
    groups = len(network.groups())
    if wanted.frozen > groups:
        which = f"the {groups} groups of the backbone of {wanted.architecture}"
        raise StageError(f"--freeze: expected at most {which}, found {wanted.frozen}")
    network.freeze(wanted.frozen)
    return network


def build_card(wanted: settings.Network, train: Path, side: int) -> models.Card:
    """What the network takes and gives.

    Args:
        wanted: the network.
        train: tile file of the training split.
        side: pixels of a view of training.

    Raises:
        StageError: no pixel of the training split has a class.
    """
    with patches.read(train, "image", "mask") as source:
        table = tiles.read_table(source)
    told = tiles.describe(table, training=True)
    if not told["pixels"]:
        raise StageError(f"{train}: mask: expected pixels with a class, found none")
    mean, std = choose_input(wanted, told["mean"], told["std"])
    known = table.classes == tiles.CLASSES
    return models.Card(
        file=ONNX, architecture=wanted.architecture, bands=BANDS, mean=mean, std=std, size=side,
        interpolation="bilinear", classes=table.classes, decimals=DIGITS, task="segmentation",
        colours=tiles.COLOURS if known else (),
    )  # fmt: skip


def choose_input(
    wanted: settings.Network, mean: list[float], std: list[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of values / 255.

    Args:
        wanted: how, and the weights that may decide about it.
        mean: of the training split, 0 to 255.
        std: likewise; a colour that is the same everywhere counts as one level.
    """
    way = wanted.normalise
    if way is None:
        satlas = wanted.weights and networks.find_origin(wanted.weights) == SATLAS
        way = "unit" if satlas else "training"
    if way == "unit":
        return (0.0,) * 3, (1.0,) * 3
    if way == "published":
        return PUBLISHED_INPUT
    scaled = [[value / 255 for value in mean], [max(value, 1) / 255 for value in std]]
    middle, spread = (tuple(round(value, DIGITS) for value in each) for each in scaled)
    return middle, spread


def build_loss(wanted: settings.Loss, train: Path, classes: tuple[str, ...]) -> losses.MaskLoss:
    """The loss against the masks.

    Raises:
        StageError: published weights for other classes than those of LandCover.ai.
    """
    weights = torch.ones(len(classes))
    if wanted.class_weights == "published":
        if classes != tiles.CLASSES:
            expected = f"expected the classes {', '.join(tiles.CLASSES)} of LandCover.ai"
            raise StageError(
                f"--class_weights=published: {expected}, found {', '.join(classes)}; "
                "use inverse-frequency or none"
            )
        weights = torch.tensor(PUBLISHED_WEIGHTS)
    if wanted.class_weights == "inverse-frequency":
        with patches.read(train, "image", "mask") as source:
            counts = tiles.read_table(source).counts.sum(0)
        weights = torch.from_numpy(tiles.weigh(counts / counts.sum())).float()
    return losses.MaskLoss(weights, wanted.loss, wanted.smoothing, wanted.gamma)
