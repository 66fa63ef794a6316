"""Flows by a network that the stage `register` trained."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.backend import devices, weights
from shared.errors import StageError
from shared.reading import documents
from shared.registration.network import RegistrationNetwork, Size

CARD, TENSORS, ONNX = "registration.json", "network.safetensors", "registration.onnx"
ROWS = 16  # pairs in one pass
KINDS: dict[str, type] = {
    "band": str, "metres": float, "mtf": float, "width": int, "depth": int, "max_offset": float,
    "guess": bool,
}  # fmt: skip


class Registrar:
    """A registration network, done learning.

    Args:
        folder: product of `register`.
        device: "auto", "cpu" or "cuda".

    Attributes:
        band: name of the band that it was trained on, such as B8.
        metres: size of a pixel of that band.
        mtf: by which the finer image was brought to that size.
        size: of the network.
        network: in evaluation mode, without gradients.

    Raises:
        StageError: no such folder, a file of it is missing or damaged, or no such device.
    """

    def __init__(self, folder: Path, device: str = "auto") -> None:
        told = _read_card(folder / CARD)
        self.band: str = told["band"]
        self.metres: float = told["metres"]
        self.mtf: float = told["mtf"]
        self.size = Size(told["width"], told["depth"], told["max_offset"], told["guess"])
        self.device = torch.device(devices.choose_device(device))
        path = folder / TENSORS
        if not path.is_file():
            raise StageError(f"{path}: no such file; register writes it")
        network = RegistrationNetwork(self.size)
        weights.fit(path, network, weights.read(path), "registration")
        self.network = network.eval().requires_grad_(False).to(self.device)

    @torch.no_grad()
    def flow(
        self, reference: NDArray[np.floating] | Tensor, moving: NDArray[np.floating] | Tensor
    ) -> Tensor:
        """Where one image shows what another one shows.

        Args:
            reference: (N, h, w) reflectance of one band.
            moving: (N, h, w), likewise.

        Returns:
            (N, h, w, 2) float32 on the device: pixels down and to the right; `moving` shows at
            place + flow what `reference` shows at place.
        """
        both = [torch.as_tensor(image).to(torch.float32) for image in (reference, moving)]
        images = torch.stack([image.to(self.device) for image in both], 1)
        return torch.cat([self.network(some) for some in images.split(ROWS)]).movedim(1, -1)


def _read_card(path: Path) -> dict[str, Any]:
    """registration.json, checked.

    Raises:
        StageError: names what is missing or of another kind.
    """
    if not path.is_file():
        raise StageError(f"{path}: no such file; give the folder that register made")
    told = documents.read_json(path)
    for name, kind in KINDS.items():
        value = told.get(name) if isinstance(told, dict) else None
        if isinstance(value, bool) is not (kind is bool) or not isinstance(
            value, (int, float) if kind is float else kind
        ):
            raise StageError(f"{path}: {name}: expected a {kind.__name__}, found {value!r}")
    if not (0 < told["width"] <= 1024 and 1 <= told["depth"] <= 8 and 0 < told["max_offset"] < 99):
        raise StageError(f"{path}: expected width, depth and max_offset of a registration network")
    return dict(told)
