"""Knowledge distillation: a small student learns from an ensemble's logits."""

from pathlib import Path

from shared import cli
from shared.training import Machine, Sampling, Seed, Validation
from stages.distill import recipes
from stages.distill.settings import Descent, FineTuning, Settings, Student
from stages.distill.suspects import Suspects
from stages.distill.teaching import Matching, Teacher


@cli.completed_by(recipes.complete)
def run(
    *,
    train: Path,
    test: Path,
    dst: Path,
    recipe: recipes.Name = "published",
    teaching: Teacher = Teacher(),
    matching: Matching = Matching(),
    student: Student = Student(),
    descent: Descent = Descent(),
    tuning: FineTuning = FineTuning(),
    sampling: Sampling = Sampling(),
    held_out: Validation = Validation(validation=0.1),
    suspects: Suspects = Suspects(),
    seed: Seed = 42,
    machine: Machine = Machine(),
) -> None:
    """Train a student on hard labels and a teacher's softened logits, or score a trained one.

    Flags without a default have the published one of the student: ResNet18 (also for any network
    without a published one), MobileNetV3-Small, MobileNetV4-Medium, EfficientNet-B0, and the five
    students of EuroSAT, which say --patience, --monitor and --min_improvement as well. README.md
    has them in a table; metrics.json says which were used.

    Args:
        train: patch file with label and the bands of student and ONNX teachers.
        test: patch file of the test split, same classes and bands.
        dst: folder with student.onnx, student.safetensors, model.json, scores, logits, metrics,
            curves; baseline/, the same student without a teacher; float/, the student before qat.
        recipe: published, or consistent (dist, teachers that see the student's views, twice the
            epochs); flags that are given win over it.
        seed: of weights, order and views.
    """
    settings = Settings(
        teaching, matching, student, descent, tuning, held_out=held_out, machine=machine, seed=seed,
        recipe=recipe, sampling=sampling, suspects=suspects,
    )  # fmt: skip
    settings.check()

    from stages.distill import train as training

    training.train_student(train, test, dst, settings)


if __name__ == "__main__":
    cli.main(run)
