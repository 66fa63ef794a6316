"""Knowledge distillation: a small student learns from what an ensemble said, cached or asked."""

from pathlib import Path

from shared import cli


def run(
    *,
    train: Path,
    test: Path,
    dst: Path,
    teacher: Path | None = None,
    onnx: tuple[Path, ...] | None = None,
    targets: str = "cached",
    architecture: str = "resnet18",
    bands: tuple[str, ...] = ("B4", "B3", "B2"),
    alpha: float = 0.7,
    temperature: float | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    weight_decay: float | None = None,
    schedule: str | None = None,
    size: int | None = None,
    interpolation: str = "bilinear",
    augment: bool = True,
    eight_bit: bool = True,
    validation: float = 0.1,
    patience: int = 0,
    baseline: bool = True,
    weights: Path | None = None,
    adapt: bool = False,
    checkpoint: Path | None = None,
    qat: int = 0,
    qat_lr: float = 1e-5,
    qat_weights: str = "per_tensor",
    seed: int = 42,
    resident: float = 32.0,
    device: str = "auto",
    precision: str = "auto",
) -> None:
    """Train a student on hard labels and a teacher's softened logits, or score a trained one.

    Flags without a default have the published one of the student: ResNet18 (also for any network
    without a published one), MobileNetV3-Small, MobileNetV4-Medium, EfficientNet-B0. README.md has
    them in a table; metrics.json says what was taken.

    Args:
        train: patch file with label and the bands of student and ONNX teachers.
        test: patch file of the test split, same classes and bands.
        dst: folder with student.onnx, student.safetensors, model.json, scores, logits, metrics,
            curves; baseline/, the same student without a teacher; float/, the student before qat.
        teacher: folder of teacher, fusion or sumrule with train_logits.npy (N, K) and
            test_scores.npy, made from the same rows.
        onnx: instead of that, folders of ONNX files beside a model.json or a preprocessing.json;
            their logits are averaged.
        targets: cached (what the teacher says of the plain view of a row) or consistent (ONNX
            teachers see the very random view that the student sees).
        architecture: timm or torchvision name, such as resnet18, mobilenetv3_small_100,
            mobilenetv4_conv_medium, efficientnet_b0.
        bands: one a channel, by name, of sen2 or rgb and of sen1.
        alpha: weight of the hard-label term; 1 - alpha is the weight of the soft term.
        temperature: softens both sides of the soft term, above 0.
        epochs: passes over the training split.
        batch: rows a step.
        lr: learning rate of AdamW.
        weight_decay: of AdamW.
        schedule: of the learning rate: cosine (falls to zero) or constant.
        size: pixels per side at the network's input.
        interpolation: bilinear (as Voyager resizes) or nearest.
        augment: whether training sees flips, ±8° rotations, ±2 px shifts and cutouts.
        eight_bit: whether values are rounded to whole levels of 0 … 255 before and after the
            resize: the pictures that Metis gets hold no more, nor do those that the SDK enlarges.
        validation: share of the training rows held out to choose the epoch, by city where the file
            knows it, 0 to 0.5; 0 keeps the last.
        patience: epochs without a better one after which training stops, 0 for never.
        baseline: whether to train the same student without a teacher as well.
        weights: state dict of the same architecture (.safetensors or .pth), for instance ImageNet.
        adapt: whether weights for three channels are spread over the bands as timm does; otherwise
            they must fit as they are.
        checkpoint: a trained student (.pth of the thesis, or student.safetensors) that is only
            scored, or fine-tuned by qat; a teacher is then needed for qat alone.
        qat: epochs of fine-tuning with fake INT8 after that, 0 for none.
        qat_lr: learning rate of these epochs.
        qat_weights: per_tensor (as Voyager does by default) or per_channel ranges of weights.
        seed: of weights, order, views.
        resident: GB of rows that may lie in memory; a split that takes more is read in shuffled
            pieces, which changes the order of its rows.
        device: auto, cpu or cuda.
        precision: auto (bf16-mixed on a GPU that has it, else 32-true), 32-true or bf16-mixed.
    """
    from shared.training.loop import Recipe
    from stages.distill import student
    from stages.distill.settings import Settings
    from stages.distill.students import settled

    own = settled(
        architecture, temperature=temperature, epochs=epochs, batch=batch, lr=lr,
        weight_decay=weight_decay, schedule=schedule, size=size,
    )  # fmt: skip
    recipe = Recipe(
        own.epochs, own.batch, own.lr, seed, optimiser="adamw", weight_decay=own.weight_decay,
        cosine=own.schedule == "cosine", augment=augment, device=device, precision=precision,
        keep_best=True, patience=patience,
    )  # fmt: skip
    plan = Settings(
        teacher, onnx or (), targets, architecture, bands, alpha, own, interpolation, eight_bit,
        validation, baseline, weights, adapt, checkpoint, qat, qat_lr, qat_weights, resident,
    )  # fmt: skip
    student.make(train, test, dst, plan, recipe)


if __name__ == "__main__":
    cli.main(run)
