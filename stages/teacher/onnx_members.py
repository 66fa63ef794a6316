"""Networks trained elsewhere: a folder of ONNX files and their model.json, as starts of members."""

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from shared import models, patches
from shared.errors import StageError
from shared.training import Plan, networks
from stages.teacher import onnx_graph
from stages.teacher.member_start import Start, member_file


class Session(nn.Module):
    """An ONNX network of ours as a module; it runs on the CPU, wherever the pictures are."""

    def __init__(self, network: onnx.ModelProto) -> None:
        super().__init__()
        self.network, self.session = network, onnx_graph.open_session(network)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, S, S) to (N, K) logits."""
        logits = self.session.run(["logits"], {"image": images.cpu().numpy()})[0]
        return torch.from_numpy(logits).to(images.device)


def read(folder: Path, train: Path, plan: Plan) -> list[Start]:
    """All members of a model folder.

    Args:
        folder: model.json and the ONNX files it names, each with one picture in and one (N, K)
            out, logits or probabilities.
        train: patch file with the bands and the classes of the cards.
        plan: ``architecture``, ``size`` and ``interpolation`` must be those of the cards.

    Raises:
        StageError: names the file or the flag that does not fit.
    """
    cards = models.load(folder)
    with patches.read(train, "label") as source:
        for card in cards:
            _check_flags(folder / models.MODEL_FILE, card, plan)
            models.locate_bands(source, card.bands)
            source.expect_classes(card.classes)
    return [_start(folder / card.file, number, card) for number, card in enumerate(cards)]


def _check_flags(path: Path, card: models.Card, plan: Plan) -> None:
    for name in ("architecture", "size", "interpolation"):
        stored, given = getattr(card, name), getattr(plan.network, name)
        if stored != given:
            raise StageError(f"--{name}: {path} says {stored!r}, found {given!r}")
    if card.features:
        raise StageError(f"{path}: {card.file}: expected a picture as the only input")
    if Path(card.file).name != card.file:  # elsewhere it would be in no plan
        raise StageError(f"{path}: expected ONNX files beside it, found {card.file!r}")


def _start(path: Path, number: int, card: models.Card) -> Start:
    network = onnx_graph.convert(path, card)
    ours = dataclasses.replace(card, file=member_file(number))
    return Start(ours, partial(Session, network), trained=True, export=partial(_export, path))


def _export(given: Path, network: nn.Module, inputs: dict[str, Tensor], path: Path) -> float:
    """Write the file; the largest difference of its logits from those of the file given."""
    assert isinstance(network, Session)
    onnx.save(network.network, path)
    expected = onnx_graph.to_logits(onnx_graph.run_one_by_one(given, inputs["image"].numpy()))
    return float(np.abs(networks.run_onnx(path, inputs) - expected).max())
