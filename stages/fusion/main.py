"""Fusion ensembles: image networks joined with topological features, one variant a member."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from shared import cli
from shared.cli import at_least, between
from shared.errors import StageError
from shared.training import Descent, Ensemble, Machine, Network, Plan, Sampling, Validation
from stages.fusion.extra_files import ExtraFiles

if TYPE_CHECKING:
    from torch import Tensor

    from shared.training.data import Batch


def run(
    *,
    train: tuple[Path, ...],
    test: tuple[Path, ...],
    dst: Path,
    image: bool = True,
    label_smoothing: Annotated[float, between(0, 1, below=True)] = 0.1,
    clip: Annotated[float, at_least(0)] = 5.0,
    files: ExtraFiles = ExtraFiles(),
    ensemble: Ensemble = Ensemble(together=1),
    network: Network = Network(),
    descent: Descent = Descent(batch=128),
    sampling: Sampling = Sampling(),
    held_out: Validation = Validation(),
    machine: Machine = Machine(),
) -> None:
    """Train an ensemble whose members see an image and its topological features.

    Args:
        train: patch files, the variants of the training split; the first one at Sentinel
            resolution. Member i takes the i-th, beginning again after the last.
        test: the same variants of the test split.
        dst: folder with one ONNX file per member (inputs image, tda), scores, logits and pictures.
        image: whether there is an image branch; without it, members see the features of their
            variant alone, and flags of the picture (sar_train, sar_test, architecture, mode, size,
            interpolation, augment, weights) are refused.
        label_smoothing: of the cross-entropy.
        clip: largest gradient norm, 0 for no limit.
    """
    from torch.nn.functional import cross_entropy

    from shared.training import ensemble as ensembles
    from shared.training.data import over_labels, read_label_pair
    from shared.training.loop import recipe_of
    from stages.fusion import members

    plan = Plan(
        ensemble, network, descent, held_out, machine, weights=files.weights, sampling=sampling
    )
    recipe = recipe_of(plan, clip=clip, augment=image)
    if not image:
        _refuse_picture_flags(files, network)
    _check_counts(train, test, files, network)
    splits = members.group_files(train, test, files, image=image)
    cards = members.build_cards(splits, plan)
    labels = read_label_pair(train[0], test[0], cards[0].classes)
    members.check_agreement(splits, cards, labels)

    def loss(logits: "Tensor", rows: "Batch") -> "Tensor":
        return over_labels(
            lambda label: cross_entropy(logits, label, label_smoothing=label_smoothing), rows
        )

    groups = members.build_groups(splits, plan, cards, labels, loss)
    ensembles.train_ensemble(dst, groups, recipe, labels)


def _check_counts(
    train: tuple[Path, ...], test: tuple[Path, ...], files: ExtraFiles, network: Network
) -> None:
    """Refuse files that do not go together."""
    with_topology = {len(files.tda_train), len(files.tda_test)} if files.tda_train else set()
    counts = {len(train), len(test)} | with_topology
    if len(counts) != 1 or not train or bool(files.tda_train) != bool(files.tda_test):
        raise StageError(
            "--train, --test: expected the same number of files for both, and for --tda_train and "
            "--tda_test if given"
        )
    if network.mode == "sar" and not (files.sar_train and files.sar_test):
        raise StageError("--mode=sar: needs --sar_train and --sar_test, patch files with sen1")


def _refuse_picture_flags(files: ExtraFiles, network: Network) -> None:
    """Refuse --noimage without features, or with what concerns a picture.

    A value equal to the default passes, because it cannot be told from a flag that is not given;
    and so does the default of before, which records of such products have.
    """
    if not files.tda_train:
        raise StageError("--noimage: needs --tda_train and --tda_test, features files")
    plain = asdict(Network()) | asdict(ExtraFiles(files.tda_train, files.tda_test))
    for name, value in (asdict(files) | asdict(network)).items():
        if value != plain[name] and (name, value) != ("augment", "lcz"):
            raise StageError(f"--{name}: concerns the image branch, which --noimage leaves out")


if __name__ == "__main__":
    cli.main(run)
