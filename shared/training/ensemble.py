"""Training the members of an ensemble in passes over the rows, and writing what they make."""

import gc
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from shared import models
from shared.progress import say
from shared.reading import documents
from shared.training.data import order, sees_views
from shared.training.loop import Learner, Recipe, engine
from shared.training.member import Export, Member, example_inputs
from shared.training.parallel import distributed
from shared.training.records import cost, events, results
from shared.unfinished import work as unfinished

__all__ = ["Export", "Member", "example_inputs", "train_ensemble", "train_members"]

LOOKED = 16_384  # training rows whose random views are looked at, spread over all of them
WORK = "work"  # folder inside the unfinished product: checkpoints and what finished members said


def train_members(dst: Path, members: Sequence[Member], recipe: Recipe) -> list[results.Result]:
    """Train members in one pass, but those that an earlier run finished; what they all left."""
    fabric = distributed.launch(recipe.device, recipe.precision)
    work = dst / WORK
    unfinished.make_folder(work)
    done = fabric.broadcast([_is_finished(dst, member) for member in members])
    waiting = [member for member, over in zip(members, done, strict=True) if not over]
    if waiting:
        learners = [member.learner(recipe) for member in waiting]
        fresh = [o for m, o in zip(waiting, learners, strict=True) if not m.trained]
        shown = dst / events.FOLDER
        engine.fit(fresh, waiting[0].train, recipe, work, waiting[0].held_out, shown,
                   dropped=waiting[0].dropped)  # fmt: skip
        for name in ("train", "test"):
            said = engine.compute_logits(learners, getattr(waiting[0], name), recipe)
            for member, rows in zip(waiting, said, strict=True):
                _save(work / f"{member.name}-{name}.npy", rows)
        _look_at_views(work, fresh, waiting[0], recipe)
        for member, learner in zip(waiting, learners, strict=True):
            _finish(dst, member, learner)
    for member, over in zip(members, done, strict=True):
        if over:
            _hand_round(fabric, [work / name for name in _left(member)])
    return [_finished(dst, member) for member in members]


def _is_finished(dst: Path, member: Member) -> bool:
    """Whether an earlier run finished a member and what it left is still what was written."""
    described, *files = (dst / WORK / name for name in _left(member))
    if not described.exists():
        return False
    own = [dst / name for name in member.files]
    if all(map(unfinished.is_intact, (described, *own, *files))):
        return True
    say(f"{described}: what this member left is not what was written; it starts again")
    described.unlink()
    return False


def _look_at_views(work: Path, fresh: Sequence[Learner], member: Member, recipe: Recipe) -> None:
    """Keep what trained networks say of random views of their own training rows."""
    drawing = [one for one in fresh if sees_views(one.view, recipe.augment)]
    if drawing:
        rows = _looked(member)
        said = engine.compute_logits(drawing, member.train, recipe, rows, views=True)
        for learner, logits in zip(drawing, said, strict=True):
            _save(work / f"{learner.name}-views.npy", logits)


def _looked(member: Member) -> NDArray[np.intp]:
    """Training rows by which the two kinds of views are compared: all, or some of many."""
    rows = order.rows_without(len(member.train), member.held_out, member.dropped)
    return rows[np.unique(np.linspace(0, len(rows) - 1, LOOKED).astype(np.intp))]


def _left(member: Member) -> tuple[str, ...]:
    """Names of the files that a finished member leaves in the work folder; maybe no views."""
    kinds = ("train", "test", "views")
    return f"{member.name}.json", *(f"{member.name}-{kind}.npy" for kind in kinds)


def _hand_round(fabric: Fabric, paths: Sequence[Path]) -> None:
    """Files of the first of several processes to the others, whose product is a scratch folder."""
    if fabric.world_size == 1:
        return
    first = fabric.is_global_zero
    there = [first and path.exists() for path in paths]
    given = fabric.broadcast(
        [path.read_bytes() if has else b"" for path, has in zip(paths, there, strict=True)]
    )
    for path, content in zip(paths, given, strict=True):
        if content and not first:
            path.write_bytes(content)


def _finish(dst: Path, member: Member, learner: Learner) -> None:
    """Write the ONNX file, then what says that the member is finished."""
    network = learner.network.cpu().eval()
    inputs = example_inputs(member)
    parameters, macs = cost.count_cost(network, inputs)
    said = {
        "series": learner.history.series, "parameters": parameters, "macs": macs,
        "kept": learner.kept,
        "difference": member.export(network, inputs, dst / member.card.file),
    }  # fmt: skip
    unfinished.note_files(dst / name for name in member.files)
    done = dst / WORK / f"{member.name}.json"
    done.with_suffix(".draft").write_text(json.dumps(said))
    unfinished.publish(done.with_suffix(".draft"), done)
    (dst / WORK / f"{member.name}.ckpt").unlink(missing_ok=True)


def _finished(dst: Path, member: Member) -> results.Result:
    described, *files = (dst / WORK / name for name in _left(member))
    facts = documents.read_json(described)
    # Mapped, not read: memory does not grow with the members that are finished.
    said = [np.load(path, mmap_mode="r") for path in files if path.exists()]
    return results.Result(
        member.card, said[0], said[1], facts["series"], facts["difference"],
        parameters=facts["parameters"], macs=facts["macs"], kept=facts["kept"],
        unseen=None if member.trained else member.held_out,
        **({"looked": _looked(member), "view_logits": said[2]} if said[2:] else {}),
    )  # fmt: skip


def _save(path: Path, array: NDArray[np.float32]) -> None:
    np.save(path.with_suffix(".draft.npy"), array)
    unfinished.publish(path.with_suffix(".draft.npy"), path)


def train_ensemble(
    dst: Path,
    groups: Iterable[Sequence[Member]],
    recipe: Recipe,
    labels: tuple[Tensor, Tensor],
) -> None:
    """Train all members and write the product: ONNX files, model.json, scores, curves, pictures.

    Args:
        dst: product folder.
        groups: members that share a pass over the rows, made one group at a time, so that only
            one group's rows are in memory.
        recipe: how; its seed is that of the order of the rows.
        labels: class numbers of the training and the test split.
    """
    fabric = distributed.launch(recipe.device, recipe.precision)
    if fabric.broadcast(_is_complete(dst)):
        shutil.rmtree(dst / WORK, ignore_errors=True)
        return
    trained: list[results.Result] = []
    for group in groups:
        trained += train_members(dst, group, recipe)
        del group
        gc.collect()  # its rows, which cycles may hold, go before the next one's come
    results.write_score_folder(dst, trained, labels)
    unfinished.note_files(_product_files(dst))
    shutil.rmtree(dst / WORK)


def _is_complete(dst: Path) -> bool:
    """Whether only the clean-up was left, and all is still what was written.

    The model file is written last.
    """
    if not (dst / models.MODEL_FILE).exists():
        return False
    return all(map(unfinished.is_intact, _product_files(dst)))


def _product_files(dst: Path) -> list[Path]:
    files = (path for path in dst.rglob("*") if path.is_file())
    return [path for path in files if WORK not in path.relative_to(dst).parts]
