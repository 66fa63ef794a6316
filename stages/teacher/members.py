"""The members of a teacher ensemble: which bands each one sees, and their rows in memory."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from torch import Tensor

from shared import patches
from shared.errors import StageError
from shared.training import Plan, ensemble, networks
from shared.training import members as drawing
from shared.training.data import (
    Split,
    View,
    bytes_per_row,
    check_same_storage,
    holdout,
    load_split,
    locate_inputs,
)
from shared.training.loop import Loss
from stages.teacher import fold_members, keras_checkpoint, onnx_members, thesis_checkpoint
from stages.teacher.member_start import Start, build_card


def choose_starts(train: Path, checkpoint: Path | None, plan: Plan) -> list[Start]:
    """What the members of a shard start from: bands drawn here, or what a checkpoint says.

    Raises:
        StageError: as `draw_starts` and the readers of checkpoints; a flag that does not go with
            the checkpoint.
    """
    members = plan.ensemble.members
    chosen = drawing.members_of_shard(members, plan.ensemble.shard)
    if checkpoint is None:
        return draw_starts(train, plan, chosen)
    if plan.weights:
        raise StageError("--weights: --checkpoint has weights of its own; give one of the two")
    networks = _reader(checkpoint)(checkpoint, train, plan)
    if len(networks) != members:
        raise StageError(f"--members: {checkpoint} has {len(networks)} networks, found {members}")
    return [networks[number] for number in chosen]


def _reader(checkpoint: Path) -> Callable[[Path, Path, Plan], list[Start]]:
    """What reads a checkpoint of this kind."""
    if checkpoint.is_dir():
        return onnx_members.read
    is_keras = keras_checkpoint.is_keras(checkpoint)
    return keras_checkpoint.read if is_keras else thesis_checkpoint.read


def draw_starts(train: Path, plan: Plan, numbers: range) -> list[Start]:
    """Bands, statistics and classes of each member, and its untrained network.

    Raises:
        StageError: unknown mode or architecture, no statistics in the file, weights do not fit.
    """
    with patches.read(train, "label") as source:
        optical = source[find_optical(source)].layout
        radar = source["sen1"].layout if "sen1" in source else None
        assert optical is not None
        cards = []
        for number in numbers:
            seed = plan.ensemble.seed + number
            bands = drawing.draw_bands(
                plan.network.mode, optical.bands, radar.bands if radar else (), seed
            )
            cards.append(build_card(source, number, bands, plan))
    classes = len(cards[0].classes)
    name = plan.network.architecture
    networks.check(name, classes, plan.network.size, plan.weights)
    make = partial(networks.build, name, 3, classes, plan.weights, plan.network.size)
    return [Start(card, make) for card in cards]


def find_optical(source: patches.Source) -> str:
    """The optical dataset of a patch file: "sen2", else "rgb"."""
    for name in ("sen2", "rgb"):
        if name in source:
            return name
    raise StageError(
        f"{source.path}: expected dataset 'sen2' or 'rgb', found {sorted(source.file)}"
    )


def build_groups(
    files: tuple[Path, Path],
    starts: Sequence[Start],
    plan: Plan,
    truth: tuple[Tensor, Tensor],
    loss: Loss,
) -> Iterator[list[ensemble.Member]]:
    """Members that share a pass over the rows; only the current ones' bands are in memory.

    Args:
        files: of the training and the test split.
        starts: what each one starts from.
        plan: how they are trained.
        truth: class numbers of both splits.
        loss: of every member.
    """
    with patches.read(files[0]) as source:
        side = source[find_optical(source)].shape[1]
    bands = dict.fromkeys(band for start in starts for band in start.card.bands)
    check_same_storage(*(locate_inputs(path, bands) for path in files))
    held_out = holdout.hold_out(files[:1], truth[0].numpy(), plan.held_out.validation)
    for some, left_out in fold_members.cut(files[0], starts, plan, truth[0].numpy(), held_out):
        # Nothing here holds the splits, so that they go with the members.
        ours, theirs = (_load(*part, some, plan) for part in zip(files, truth, strict=True))
        yield [
            ensemble.Member(
                name=Path(start.card.file).stem, card=start.card, network=start.network,
                view=View(start.card, ours.layouts, side), loss=loss,
                seed=plan.ensemble.seed + start.number, train=ours, test=theirs,
                held_out=left_out if len(left_out) else None, trained=start.trained,
                export=start.export,
            )
            for start in some
        ]  # fmt: skip
        del ours, theirs


def _load(path: Path, label: Tensor, starts: Sequence[Start], plan: Plan) -> Split:
    """The bands that any of these members sees, in the order that any other members' have."""
    bands = dict.fromkeys(band for start in starts for band in start.card.bands)
    with patches.read(path) as source:
        names = [
            find_optical(source),
            *(["sen1"] if plan.network.mode == "sar" and "sen1" in source else []),
        ]
        layouts = [source[name].layout for name in names]
    whole = [band for layout in layouts if layout for band in layout.bands]
    largest = bytes_per_row(locate_inputs(path, whole))
    inputs = locate_inputs(path, bands)
    return load_split(inputs, {"label": label}, plan.machine.resident, plan.descent.batch, largest)
