"""Teachers as ONNX files, whoever trained them, run by onnxruntime on the CPU.

Networks of a known architecture run in torch on a GPU instead, where training takes place there and
they are asked about random views. On a CPU onnxruntime is the faster one.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared import models, onnx_graphs, patches
from shared.errors import StageError
from shared.progress import say
from shared.training import trained

TOLERANCE = 1e-3  # of logits, over the largest magnitude among them or 1


@dataclass(frozen=True)
class Teacher:
    """One network and the input it takes.

    Attributes:
        card: its description; classes are those of the data, in the order of its outputs.
        session: runs it, in the common form.
        order: place of each class of the data among its outputs.
        network: the same in torch, which then answers instead; None where there is none.
    """

    card: models.Card
    session: onnxruntime.InferenceSession
    order: tuple[int, ...]
    network: nn.Module | None = None

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, K) logits of (N, C, S, S) pictures, in the classes of the data."""
        rows = self.session.run(["logits"], {"image": np.ascontiguousarray(images)})[0]
        logits: NDArray[np.float32] = rows[:, self.order]
        return logits

    @torch.no_grad()
    def answer(self, images: Tensor) -> Tensor:
        """(N, K) logits of (N, C, S, S) pictures, in the classes of the data, on their device."""
        if self.network is None:
            return torch.from_numpy(self.logits(images.cpu().numpy())).to(images.device)
        pictures = images.contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.network.to(images.device)(pictures)
        return logits[:, list(self.order)]


def read(
    folders: tuple[Path, ...], classes: tuple[str, ...], rows: Path, in_torch: bool = False
) -> list[Teacher]:
    """Every network of these folders, in the common form, tried on noise and on stored rows.

    Args:
        folders: each with model.json or preprocessing.json (`onnx_graphs.matlab_export.read`) and
            ONNX files.
        classes: (K,) names of the data; the networks may have them in another order.
        rows: patch file with the bands of all of them.
        in_torch: whether networks of a known architecture are to run in torch; one line says which
            do not.

    Raises:
        StageError: names the file and what does not fit.
    """
    teachers, faults = list[Teacher](), list[str]()
    with patches.read(rows, "label") as source:
        for folder in folders:
            for card in onnx_graphs.read_cards(folder, classes):
                teacher = _open(folder / card.file, card, classes, source)
                if in_torch:
                    try:
                        pictures = onnx_graphs.read_pictures(source, card)
                        teacher = rebuild(folder, teacher, pictures)
                    except Exception as error:  # any, of a network that is not what it is called
                        faults.append(f"{folder / card.file}: {str(error).splitlines()[0]}")
                teachers.append(teacher)
    if faults:
        say(f"{len(faults)} of {len(teachers)} teachers run in onnxruntime on the CPU: {faults[0]}")
    return teachers


def rebuild(folder: Path, teacher: Teacher, pictures: NDArray[np.float32]) -> Teacher:
    """The teacher with its network in torch, which says the same of (N, C, S, S) pictures.

    Raises:
        StageError: as `trained.read`; it says something else.
    """
    network = trained.read(folder, teacher.card).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    again = dataclasses.replace(teacher, network=network.requires_grad_(False))
    expected, said = teacher.logits(pictures), again.answer(torch.from_numpy(pictures)).numpy()
    allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    if not (apart := onnx_graphs.compare(said, expected)) <= allowed:
        raise StageError(f"other outputs in torch, by {apart:.3g}")
    return again


def _open(
    path: Path, card: models.Card, classes: tuple[str, ...], source: patches.Source
) -> Teacher:
    if card.features:
        raise StageError(
            f"{path}: takes topological features; give the folder that fusion made as --teacher "
            "with --targets=cached: its cached logits need no network"
        )
    names = onnx_graphs.match_classes(card.classes, classes)
    if not names:
        described = f"{len(card.classes)} classes {', '.join(card.classes[:3])} …"
        raise StageError(
            f"{path}: expected {len(classes)} classes {', '.join(classes[:3])} …, found {described}"
        )
    pictures = onnx_graphs.read_pictures(source, card)
    adopted = onnx_graphs.adopt(path, dataclasses.replace(card, classes=names), pictures)
    order = tuple(names.index(name) for name in classes)
    return Teacher(card, onnx_graphs.open_session(adopted.model), order)
