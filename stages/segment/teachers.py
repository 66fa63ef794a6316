"""A trained segmentation network as a teacher: it sees what the student sees, in its own units."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from shared import models, onnx_graphs
from shared.backend import weights
from shared.errors import StageError
from shared.reading import documents
from shared.segmentation import networks, onnx_file, pyramids

TENSORS = "network.safetensors"  # of a segment run, beside the ONNX file
BUILT = "network"  # entry of model.json with the flags that build the network
TOLERANCE = 1e-3  # between both, over the largest magnitude of the logits or 1


class Teacher(nn.Module):
    """Pictures as a student takes them to logits in the order of the student's classes.

    Args:
        network: (N, 3, H, W) in the units of its own card to (N, K, H, W) logits.
        own: its card.
        student: the card of the student, with the same classes in any order.
    """

    scale: Tensor
    shift: Tensor
    order: Tensor

    def __init__(self, network: nn.Module, own: models.Card, student: models.Card) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        mean, std, their_mean, their_std = (
            torch.tensor(of).view(1, 3, 1, 1)
            for of in (own.mean, own.std, student.mean, student.std)
        )
        self.register_buffer("scale", their_std / std)
        self.register_buffer("shift", (their_mean - mean) / std)
        order = [own.classes.index(name) for name in student.classes]
        self.register_buffer("order", torch.tensor(order))

    def train(self, mode: bool = True) -> "Teacher":
        """Always in evaluation mode."""
        return cast("Teacher", super().train(False))

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, K, H, W)."""
        logits: Tensor = self.network(images * self.scale + self.shift)
        return logits.index_select(1, self.order)


class OnnxNetwork(nn.Module):
    """An ONNX file that takes pictures of any size, on the CPU.

    Raises:
        StageError: not a usable one, when it is opened or when it runs.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        model = onnx_graphs.load(path)
        try:
            self.session = onnx_graphs.open_session(model)
        except Exception as error:
            reason = onnx_graphs.first_line(error)
            raise StageError(f"{path}: not a usable ONNX file ({reason})") from None

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, K, H, W)."""
        given = np.ascontiguousarray(images.cpu().float().numpy())
        try:
            logits = self.session.run(["logits"], {"image": given})[0]
        except Exception as error:
            reason = onnx_graphs.first_line(error)
            raise StageError(f"{self.path}: does not run on pictures ({reason})") from None
        return torch.from_numpy(logits).to(images.device)


def read(folder: Path, student: models.Card) -> Teacher:
    """The network of a segment run, in torch where its tensors lie beside its ONNX file.

    Raises:
        StageError: no such folder, several networks, other classes, tensors that do not say what
            the ONNX file says.
    """
    cards = models.load(folder, task="segmentation")
    if len(cards) != 1:
        raise StageError(f"{folder}: expected one network, found {len(cards)}")
    card = cards[0]
    if sorted(card.classes) != sorted(student.classes):
        expected = f"expected the classes {', '.join(student.classes)}"
        raise StageError(f"{folder}: {expected}, found {', '.join(card.classes)}")
    if len(card.bands) != len(student.bands):
        raise StageError(f"{folder}: expected three bands, found {len(card.bands)}")
    network: nn.Module = OnnxNetwork(folder / card.file)
    built = documents.read_json(folder / models.MODEL_FILE).get(BUILT)
    if isinstance(built, dict) and (folder / TENSORS).is_file():
        network = _rebuild(folder, card, built)
    return Teacher(network, card, student).eval()


def _rebuild(folder: Path, card: models.Card, built: dict[str, Any]) -> pyramids.Segmenter:
    """The network in torch, which says the same as its ONNX file."""
    path = folder / TENSORS
    try:
        network = networks.build(card.architecture, len(card.classes), **built).eval()
    except TypeError as error:
        raise StageError(f"{folder / models.MODEL_FILE}: {BUILT}: {error}") from None
    weights.fit(path, network, weights.read(path), card.architecture)
    noise = np.random.default_rng(0).standard_normal((1, 3, 64, 96), np.float32)
    with torch.no_grad():
        said = network(torch.from_numpy(noise)).numpy()
    given = onnx_file.run_onnx(folder / card.file, noise)
    apart = np.abs(said - given).max() if said.shape == given.shape else np.inf
    if not apart <= TOLERANCE * max(1.0, float(np.abs(given).max())):
        raise StageError(f"{path}: expected what {card.file} says, found other logits")
    return network
