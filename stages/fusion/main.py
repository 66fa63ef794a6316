"""Fusion ensembles: image networks joined with topological features, one variant a member."""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

from shared import cli
from shared.errors import StageError

if TYPE_CHECKING:
    from torch import Tensor

    from shared.learn.split import Batch


def run(
    *,
    train: tuple[Path, ...],
    test: tuple[Path, ...],
    dst: Path,
    tda_train: tuple[Path, ...] = (),
    tda_test: tuple[Path, ...] = (),
    sar_train: Path | None = None,
    sar_test: Path | None = None,
    image: bool = True,
    architecture: str = "resnet18",
    mode: str = "rand",
    members: int = 10,
    epochs: int = 12,
    batch: int = 128,
    lr: float = 1e-3,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
    cosine: bool = False,
    label_smoothing: float = 0.1,
    clip: float = 5.0,
    size: int = 224,
    interpolation: str = "bilinear",
    augment: bool = True,
    weights: Path | None = None,
    seed: int = 42,
    device: str = "auto",
    precision: str = "32-true",
    shard: str = "1/1",
) -> None:
    """Train an ensemble whose members see an image and its topological features.

    Args:
        train: comma-separated patch files, the variants of the training split; the first one at
            Sentinel resolution. Member i takes the i-th, beginning again after the last.
        test: the same variants of the test split.
        dst: folder with one ONNX file a member (inputs image, tda), scores, logits and pictures.
        tda_train: features files of the same variants; none trains on images alone.
        tda_test: features files of the test split.
        sar_train: patch file with sen1, for mode sar.
        sar_test: the same of the test split.
        image: whether there is an image branch; without it, members see the features of their
            variant alone, and what concerns the picture (sar_train, sar_test, architecture, mode,
            size, interpolation, augment, weights) is refused.
        architecture: timm name of the image branch.
        mode: rand, randrgb or sar; see teacher.
        members: networks in the ensemble.
        epochs: passes over the training split.
        batch: rows a step.
        lr: learning rate of SGD.
        momentum: of SGD.
        weight_decay: L2 penalty.
        cosine: whether the rate falls to zero along a cosine; the published setting keeps it.
        label_smoothing: of the cross-entropy, 0 to below 1.
        clip: largest gradient norm, 0 for no limit.
        size: pixels per side at the network's input.
        interpolation: bilinear or nearest.
        augment: whether training sees flips, ±8° rotations, ±2 px shifts and cutouts.
        weights: state dict of the image branch (.safetensors or .pth), for instance ImageNet.
        seed: member i draws its bands, weights, order and views from seed + i - 1.
        device: auto, cpu or cuda.
        precision: 32-true, bf16-mixed or 16-mixed.
        shard: "i/n" trains the i-th of n runs of members.
    """
    from torch.nn.functional import cross_entropy

    from shared.learn import ensemble, settings, split
    from shared.learn.learner import Recipe
    from stages.fusion import alone, features
    from stages.fusion.members import Settings, Variants, agree, cards
    from stages.fusion.members import members as each

    if not image:
        _refuse_picture(
            tda_train, sar_train=sar_train, sar_test=sar_test, architecture=architecture, mode=mode,
            size=size, interpolation=interpolation, augment=augment, weights=weights,
        )  # fmt: skip
    recipe = Recipe(
        epochs, batch, lr, seed, momentum=momentum, weight_decay=weight_decay, cosine=cosine,
        clip=clip, augment=augment and image, device=device, precision=precision,
    )  # fmt: skip
    settings.check(recipe, size, interpolation)
    if not 0 <= label_smoothing < 1:
        raise StageError(f"--label_smoothing: expected 0 to below 1, found {label_smoothing}")
    counts = {len(train), len(test)} | ({len(tda_train), len(tda_test)} if tda_train else set())
    if len(counts) != 1 or not train or bool(tda_train) != bool(tda_test):
        raise StageError("--train, --test, --tda_train, --tda_test: expected as many of each")
    if mode == "sar" and not (sar_train and sar_test):
        raise StageError("--mode=sar: needs --sar_train and --sar_test, patch files with sen1")
    splits = Variants(train, tda_train, sar_train), Variants(test, tda_test, sar_test)
    plan = Settings(architecture, mode, size, interpolation, weights, seed)
    numbers = settings.numbers(members, shard)
    found = cards(splits[0], plan, numbers) if image else alone.cards(splits[0], numbers)
    labels = split.label_pair(train[0], test[0], found[0].classes)
    for files, truth in zip(splits, labels, strict=True):
        agree(files, found[0].classes, found[0].features, truth)
    for ours, theirs in zip(tda_train, tda_test, strict=True):
        features.agree(ours, theirs)

    def loss(logits: "Tensor", rows: "Batch") -> "Tensor":
        return cross_entropy(logits, rows["label"], label_smoothing=label_smoothing)

    made = each(*splits, plan, found, labels) if image else alone.members(*splits, found, labels)
    ensemble.train_all(dst, made, loss, recipe, labels)


def _refuse_picture(tda_train: tuple[Path, ...], **given: object) -> None:
    """StageError for --noimage without features, or with what concerns a picture.

    A value equal to the default passes: it says nothing, whether given or not.
    """
    if not tda_train:
        raise StageError("--noimage: needs --tda_train and --tda_test, features files")
    plain = inspect.signature(run).parameters
    for name, value in given.items():
        if value != plain[name].default:
            raise StageError(f"--{name}: concerns the image branch, which --noimage leaves out")


if __name__ == "__main__":
    cli.main(run)
