"""Teacher ensembles: several networks, each on its own three bands, averaged by the sum rule."""

from pathlib import Path
from typing import TYPE_CHECKING

from shared import cli

if TYPE_CHECKING:
    from torch import Tensor


def run(
    *,
    train: Path,
    test: Path,
    dst: Path,
    architecture: str = "resnet18",
    mode: str = "rand",
    members: int = 10,
    epochs: int = 12,
    batch: int = 1024,
    lr: float = 1e-3,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
    cosine: bool = False,
    size: int = 224,
    interpolation: str = "bilinear",
    augment: bool = True,
    weights: Path | None = None,
    checkpoint: Path | None = None,
    seed: int = 42,
    validation: float = 0.0,
    patience: int = 0,
    together: int = 10,
    resident: float = 32.0,
    device: str = "auto",
    precision: str = "auto",
    shard: str = "1/1",
) -> None:
    """Train an ensemble on random band triples, or take a trained one, and score it.

    Args:
        train: patch file with label and sen2 (N, H, W, 10) or rgb (N, H, W, 3), and sen1 for sar.
        test: patch file of the test split, same classes and bands.
        dst: folder with one ONNX file a member, model.json, scores, logits, metrics and pictures.
        architecture: timm or torchvision name.
        mode: rand (3 optical bands), randrgb (2 others and one of B4, B3, B2), sar (2 optical
            bands and one SAR channel).
        members: networks in the ensemble.
        epochs: passes over the training split.
        batch: rows a step; the published setting is 1024 for ResNet18, 512 for DenseNet201.
        lr: learning rate of SGD.
        momentum: of SGD.
        weight_decay: L2 penalty.
        cosine: whether the rate falls to zero along a cosine; the published setting keeps it.
        size: pixels per side at the network's input.
        interpolation: bilinear (as Voyager resizes) or nearest (as the thesis did).
        augment: whether training sees flips, ±8° rotations, ±2 px shifts and cutouts.
        weights: state dict of the same architecture (.safetensors or .pth), for instance ImageNet.
        checkpoint: networks trained already, which are only scored: a .pth of the thesis code, or
            a folder of ONNX files and model.json. The flags of training then do nothing;
            architecture, mode, members, size and interpolation say what the networks are.
        seed: of the order of the rows; member i draws its bands, weights and views from
            seed + i - 1.
        validation: share of the training rows held out, by city where the file knows it, 0 to 0.5;
            the epoch that is best on them is kept. 0, as published, keeps the last.
        patience: epochs without a better one after which a member stops, 0 for never.
        together: members that share one pass over the rows; more take more memory and less time.
        resident: GB of rows that may lie in memory. Where all bands that the mode draws from take
            more, rows come in shuffled pieces, which changes their order.
        device: auto, cpu or cuda.
        precision: auto (bf16-mixed on a GPU that has it, else 32-true), 32-true or bf16-mixed.
        shard: "i/n" trains the i-th of n runs of members.
    """
    from torch.nn.functional import cross_entropy

    from shared.training import ensemble, settings
    from shared.training.data import split
    from shared.training.loop import Recipe
    from stages.teacher import members as each
    from stages.teacher.start import Settings

    recipe = Recipe(
        epochs, batch, lr, seed, momentum=momentum, weight_decay=weight_decay, cosine=cosine,
        augment=augment, device=device, precision=precision, keep_best=validation > 0,
        patience=patience,
    )  # fmt: skip
    settings.check(recipe, size, interpolation)
    settings.check_pass(recipe, together, resident, validation)
    plan = Settings(
        architecture, mode, size, interpolation, weights, seed, together, resident, validation,
        batch,
    )  # fmt: skip
    starts = each.starts(train, checkpoint, plan, members, shard)
    labels = split.label_pair(train, test, starts[0].card.classes)

    def loss(logits: "Tensor", rows: "split.Batch") -> "Tensor":
        return cross_entropy(logits, rows["label"])

    groups = each.groups((train, test), starts, plan, labels, loss)
    ensemble.train_all(dst, groups, recipe, labels)


if __name__ == "__main__":
    cli.main(run)
