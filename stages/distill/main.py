"""Knowledge distillation: a small true-colour student learns from an ensemble's cached logits."""

from pathlib import Path

from shared import cli


def run(
    *,
    train: Path,
    test: Path,
    teacher: Path,
    dst: Path,
    architecture: str = "resnet18",
    alpha: float = 0.7,
    temperature: float = 3.0,
    epochs: int = 30,
    batch: int = 512,
    lr: float = 2e-4,
    weight_decay: float = 1e-4,
    size: int = 224,
    interpolation: str = "bilinear",
    augment: bool = True,
    eight_bit: bool = True,
    validation: float = 0.1,
    baseline: bool = True,
    weights: Path | None = None,
    seed: int = 42,
    device: str = "auto",
    precision: str = "32-true",
) -> None:
    """Train a student on B4, B3, B2 with hard labels and softened teacher logits.

    Args:
        train: patch file with label and the bands B4, B3, B2 (sen2 or rgb).
        test: patch file of the test split, same classes and bands.
        teacher: folder of teacher, fusion or sumrule with train_logits.npy (N, K) and
            test_scores.npy, made from the same rows.
        dst: folder with student.onnx, model.json, scores, logits, metrics, curves; and baseline/,
            the same student without a teacher.
        architecture: timm or torchvision name.
        alpha: weight of the hard-label term; 1 - alpha is the weight of the soft term.
        temperature: softens both sides of the soft term, above 0.
        epochs: passes over the training split.
        batch: rows a step.
        lr: learning rate of AdamW, falling along a cosine.
        weight_decay: of AdamW.
        size: pixels per side at the network's input.
        interpolation: bilinear (as Voyager resizes) or nearest.
        augment: whether training sees flips, ±8° rotations, ±2 px shifts and cutouts.
        eight_bit: whether values are rounded to whole levels of 0 … 255 before the z-score: the
            pictures that Metis gets hold no more.
        validation: share of each class held out to choose the epoch, 0 to 0.5; 0 keeps the last.
        baseline: whether to train the same student without a teacher as well.
        weights: state dict of the same architecture (.safetensors or .pth), for instance ImageNet.
        seed: of weights, order, views.
        device: auto, cpu or cuda.
        precision: 32-true, bf16-mixed or 16-mixed.
    """
    from shared.learn.learner import Recipe
    from stages.distill import student

    recipe = Recipe(
        epochs, batch, lr, seed, optimiser="adamw", weight_decay=weight_decay, cosine=True,
        augment=augment, device=device, precision=precision, keep_best=True,
    )  # fmt: skip
    plan = student.Settings(
        architecture,
        alpha,
        temperature,
        size,
        interpolation,
        eight_bit,
        validation,
        baseline,
        weights,
    )
    student.make(train, test, teacher, dst, plan, recipe)


if __name__ == "__main__":
    cli.main(run)
