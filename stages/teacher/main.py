"""Teacher ensembles: several networks, each on its own three bands, averaged by the sum rule."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from shared import cli
from shared.training import Descent, Ensemble, Machine, Network, Plan, Sampling, Validation

if TYPE_CHECKING:
    from torch import Tensor

    from shared.training.data import Batch


def describe_checkpoint(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The flags that a folder or a Keras file given as --checkpoint says itself."""
    checkpoint = given.get("checkpoint")
    if checkpoint is None:
        return {}
    from stages.teacher import keras_checkpoint, onnx_members

    if checkpoint.is_dir():
        return onnx_members.describe(checkpoint, given)
    if keras_checkpoint.is_keras(checkpoint):
        return keras_checkpoint.describe(checkpoint, given)
    return {}


@cli.completed_by(describe_checkpoint)
def run(
    *,
    train: Path,
    test: Path,
    dst: Path,
    weights: Path | None = None,
    checkpoint: Path | None = None,
    ensemble: Ensemble = Ensemble(),
    network: Network = Network(),
    descent: Descent = Descent(),
    sampling: Sampling = Sampling(),
    held_out: Validation = Validation(),
    folds: Annotated[int, cli.between(0, 20)] = 0,
    machine: Machine = Machine(),
) -> None:
    """Train an ensemble on random band triples, or take a trained one, and score it.

    The defaults are the published ones of ResNet18; those of DenseNet201 have --batch 512.

    Args:
        train: patch file with label and sen2 (N, H, W, 10) or rgb (N, H, W, 3), and sen1 for sar.
        test: patch file of the test split, same classes and bands.
        dst: folder with one ONNX file per member, model.json, scores, logits, metrics and pictures.
        weights: state dict of the same architecture (.safetensors or .pth), for instance ImageNet.
        checkpoint: networks that are trained already and only scored: a .pth of the thesis code, a
            folder of ONNX files and model.json, or a ResNet v2 that Keras saved (.h5). The flags of
            training then have no effect; architecture, mode, members, size and interpolation
            describe the networks of a .pth. The others say them themselves, except for the mode,
            which they do not have.
        folds: parts that the training rows are cut into, by city where the file knows it; each
            member leaves one out, and out_of_fold_scores.npy says of each row what the members
            that left it out find, for audit. 0 for none; otherwise 2 to the number of members.
    """
    from torch.nn.functional import cross_entropy

    from shared.training import ensemble as ensembles
    from shared.training.data import over_labels, read_label_pair
    from shared.training.loop import recipe_of
    from stages.teacher import fold_members, members

    plan = Plan(
        ensemble, network, descent, held_out, machine, weights=weights, sampling=sampling,
        folds=folds,
    )  # fmt: skip
    fold_members.check(plan, checkpoint)
    recipe = recipe_of(plan)
    starts = members.choose_starts(train, checkpoint, plan)
    labels = read_label_pair(train, test, starts[0].card.classes)

    def loss(logits: "Tensor", rows: "Batch") -> "Tensor":
        return over_labels(lambda label: cross_entropy(logits, label), rows)

    groups = members.build_groups((train, test), starts, plan, labels, loss)
    ensembles.train_ensemble(dst, groups, recipe, labels)


if __name__ == "__main__":
    cli.main(run)
