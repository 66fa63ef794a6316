"""Networks trained elsewhere: a folder of ONNX files and its description, as starts of members."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from shared import models, onnx_graphs, patches
from shared.errors import StageError
from shared.training import Plan, networks
from stages.teacher.member_start import Start, member_file, refuse_contradictions

DESCRIBED = ("architecture", "size", "interpolation")  # flags that every card says


class Session(nn.Module):
    """An ONNX network of ours as a module; it runs on the CPU, wherever the pictures are.

    Attributes:
        cost: parameters and MACs, counted from the graph.
    """

    def __init__(self, network: onnx_graphs.Adopted) -> None:
        super().__init__()
        self.network, self.session = network, onnx_graphs.open_session(network.model)
        self.cost = onnx_graphs.count_cost(network.model)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, S, S) to (N, K) logits."""
        logits = self.session.run(["logits"], {"image": images.cpu().numpy()})[0]
        return torch.from_numpy(logits).to(images.device)


def describe(folder: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that a model folder says: how many members there are, and what all of them are.

    Args:
        folder: ONNX files and their description.
        given: flags that the caller gives, ``train`` among them.

    Raises:
        StageError: the caller says something else; the members differ.
    """
    place = onnx_graphs.name_description(folder)
    with patches.read(given["train"], "label") as source:
        cards = onnx_graphs.read_cards(folder, source.classes)
    said: dict[str, Any] = {"members": len(cards)}
    for name in DESCRIBED:
        values = list(dict.fromkeys(getattr(card, name) for card in cards))
        if len(values) > 1:
            shown = ", ".join(map(str, values))
            raise StageError(f"{place}: expected one {name} for all networks, found {shown}")
        said[name] = values[0]
    refuse_contradictions(place, said, given)
    return said


def read(folder: Path, train: Path, plan: Plan) -> list[Start]:
    """All members of a model folder.

    Args:
        folder: a description and the ONNX files it names, each with one picture in and one (N, K)
            out, logits or probabilities.
        train: patch file with the bands and the classes of the cards.
        plan: ``architecture``, ``size`` and ``interpolation`` must be those of the cards.

    Raises:
        StageError: names the file or the flag that does not fit.
    """
    with patches.read(train, "label") as source:
        cards = onnx_graphs.read_cards(folder, source.classes)
        starts: list[Start] = []
        for card in cards:
            _check_card(onnx_graphs.name_description(folder), card, plan)
            models.locate_bands(source, card.bands)
            names = onnx_graphs.match_classes(card.classes, source.classes)
            if not names:
                source.expect_classes(card.classes)
            spelt = dataclasses.replace(card, classes=names)
            starts.append(_start(folder / card.file, len(starts), spelt, source))
    return starts


def _check_card(path: Path, card: models.Card, plan: Plan) -> None:
    for name in DESCRIBED:
        stored, given = getattr(card, name), getattr(plan.network, name)
        if stored != given:
            raise StageError(f"--{name}: {path} says {stored!r}, found {given!r}")
    if card.features:
        raise StageError(f"{path}: {card.file}: expected a picture as the only input")


def _start(path: Path, number: int, card: models.Card, source: patches.Source) -> Start:
    pictures = onnx_graphs.read_pictures(source, card)
    network = onnx_graphs.adopt(path, card, pictures, source.classes)
    ours = dataclasses.replace(card, file=member_file(number), classes=source.classes)
    return start_trained(ours, network)


def start_trained(card: models.Card, network: onnx_graphs.Adopted) -> Start:
    """A member that is a trained ONNX network."""
    return Start(card, partial(Session, network), trained=True, export=_export)


def _export(network: nn.Module, inputs: dict[str, Tensor], path: Path) -> float:
    """Write the file; the largest difference of its outputs from those of the file given."""
    assert isinstance(network, Session)
    onnx.save(network.network.model, path)
    logits = networks.run_onnx(path, inputs)
    return network.network.difference(logits, np.asarray(inputs["image"]))
