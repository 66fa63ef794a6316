"""Fusion ensembles: image networks joined with topological features, one variant a member."""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

from shared import cli
from shared.errors import StageError

if TYPE_CHECKING:
    from torch import Tensor

    from shared.training.data import Batch


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
    validation: float = 0.0,
    patience: int = 0,
    together: int = 1,
    resident: float = 32.0,
    device: str = "auto",
    precision: str = "auto",
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
        seed: of the order of the rows; member i draws its bands, weights and views from
            seed + i - 1.
        validation: share of the training rows held out, by city where the file knows it, 0 to 0.5;
            the epoch that is best on them is kept. 0, as published, keeps the last.
        patience: epochs without a better one after which a member stops, 0 for never.
        together: members that share one pass over the rows; more take more memory, that of all
            their variants, and less time.
        resident: GB of rows that may lie in memory. Where those of a member of the largest variant
            take more, rows come in shuffled pieces, which changes their order.
        device: auto, cpu or cuda.
        precision: auto (bf16-mixed on a GPU that has it, else 32-true), 32-true or bf16-mixed.
        shard: "i/n" trains the i-th of n runs of members.
    """
    from torch.nn.functional import cross_entropy

    from shared.training import ensemble, settings
    from shared.training.data import split
    from shared.training.loop import Recipe
    from stages.fusion import alone, features
    from stages.fusion import members as each
    from stages.fusion.variants import Variants, agree

    if not image:
        _refuse_picture(
            tda_train, sar_train=sar_train, sar_test=sar_test, architecture=architecture, mode=mode,
            size=size, interpolation=interpolation, augment=augment, weights=weights,
        )  # fmt: skip
    recipe = Recipe(
        epochs, batch, lr, seed, momentum=momentum, weight_decay=weight_decay, cosine=cosine,
        clip=clip, augment=augment and image, device=device, precision=precision,
        keep_best=validation > 0, patience=patience,
    )  # fmt: skip
    settings.check(recipe, size, interpolation)
    settings.check_pass(recipe, together, resident, validation)
    if not 0 <= label_smoothing < 1:
        raise StageError(f"--label_smoothing: expected 0 to below 1, found {label_smoothing}")
    counts = {len(train), len(test)} | ({len(tda_train), len(tda_test)} if tda_train else set())
    if len(counts) != 1 or not train or bool(tda_train) != bool(tda_test):
        raise StageError("--train, --test, --tda_train, --tda_test: expected as many of each")
    if mode == "sar" and not (sar_train and sar_test):
        raise StageError("--mode=sar: needs --sar_train and --sar_test, patch files with sen1")
    files = (
        Variants(train, tda_train, sar_train, image), Variants(test, tda_test, sar_test, image),
    )  # fmt: skip
    plan = each.Settings(
        architecture, mode, size, interpolation, weights, seed, together, resident, validation,
        batch,
    )  # fmt: skip
    numbers = settings.numbers(members, shard)
    cards = each.cards(files[0], plan, numbers) if image else alone.cards(files[0], numbers)
    labels = split.label_pair(train[0], test[0], cards[0].classes)
    for of, truth in zip(files, labels, strict=True):
        agree(of, cards, truth)
    for ours, theirs in zip(tda_train, tda_test, strict=True):
        features.agree(ours, theirs)

    def loss(logits: "Tensor", rows: "Batch") -> "Tensor":
        return cross_entropy(logits, rows["label"], label_smoothing=label_smoothing)

    ensemble.train_all(dst, each.groups(files, plan, cards, labels, loss), recipe, labels)


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
