"""A split, a network and a recipe small enough to train by hand."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from shared import lcz, models
from shared.runs import record
from shared.training.data import over_labels
from shared.training.data.split import Band, Batch, Split
from shared.training.data.views.view import View
from shared.training.ensemble import Member
from shared.training.loop.learner import Learner
from shared.training.loop.recipe import Recipe

CLASSES = ("road", "roof", "tree")
LAYOUT = lcz.Layout(("B4", "B3", "B2"), 0.0, 255.0)
MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.5)
SIDE = 8


def split(rows: int = 30, seed: int = 0, side: int = SIDE) -> Split:
    """Three classes that differ in colour, as uint8."""
    rng = np.random.default_rng(seed)
    label = np.arange(rows) % 3
    colour = 60 * np.eye(3)[label][:, None, None] + 60
    stored = (colour + rng.integers(0, 80, (rows, side, side, 3))).astype(np.uint8)
    bands = {
        name: Band(torch.from_numpy(stored[..., channel].copy()), LAYOUT)
        for channel, name in enumerate(LAYOUT.bands)
    }
    return Split(bands, {"label": torch.from_numpy(label)})


class Network(nn.Module):
    """One convolution, batch norm, dropout, one matrix."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.dropout, self.head = nn.Dropout(dropout), nn.Linear(4, 3)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.dropout(self.body(image).mean((2, 3))))


def network(dropout: float = 0.0) -> Network:
    torch.manual_seed(7)
    return Network(dropout)


def card(name: str = "member-01", size: int = SIDE) -> models.Card:
    return models.Card(f"{name}.onnx", "tiny", LAYOUT.bands, MEAN, STD, size, "bilinear", CLASSES)


def view(of: Split, size: int = SIDE) -> View:
    return View(card(size=size), of.layouts, SIDE)


def recipe(**more: object) -> Recipe:
    plain = {"epochs": 3, "batch": 7, "lr": 0.05, "seed": 3, "device": "cpu", "augment": "none"}
    return Recipe(**(plain | more))  # type: ignore[arg-type]


def loss(logits: Tensor, rows: Batch) -> Tensor:
    return over_labels(lambda label: cross_entropy(logits, label), rows)


def learner(
    of: Split, plan: Recipe, name: str = "a", seed: int = 5, dropout: float = 0.3
) -> Learner:
    return Learner(name, network(dropout), view(of), loss, plan, seed=seed)


def member(number: int, train: Split, test: Split) -> Member:
    name = f"member-{number:02}"
    return Member(
        name, card(name), lambda: Network(0.2), view(train), loss, 2 + number, train, test
    )


def weights(of: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in of.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def files(folder: Path) -> dict[str, bytes]:
    """Content of every file of a product that counts, by relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in record.files_of(folder)
    }
