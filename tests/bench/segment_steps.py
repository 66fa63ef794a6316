"""Steps of training from the tile file on, in turns with those of the network alone."""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from shared import models, tiles
from shared.segmentation import Views, data, fitting, learner, losses, networks, objective
from shared.tiles import IGNORE
from shared.training.loop import Recipe
from shared.training.loop.recipe import build_optimiser
from shared.training.parallel import distributed

MEAN, STD = (0.4, 0.4, 0.35), (0.1, 0.1, 0.1)
Step = Callable[[], None]


def recipe_of(batch: int) -> Recipe:
    """The published one, on any device."""
    return Recipe(1, batch, 1e-4, 42, optimiser="adam", clip=1.0)


def whole(architecture: str, stream: data.TileStream, batch: int) -> Iterator[None]:
    """A step each time: tiles read, seen, learned from, counted, as `segment` does it."""
    recipe, classes = recipe_of(batch), len(stream.classes)
    fabric = distributed.launch(recipe.device, recipe.precision)
    card = models.Card(
        "", architecture, ("red", "green", "blue"), MEAN, STD, 256, "bilinear", tiles.CLASSES
    )
    sight = fitting.Sight(Views(), card)
    masks = objective.Objective(losses.MaskLoss(torch.ones(classes)))
    network = networks.build(architecture, classes)
    one = learner.MaskLearner(network, masks, recipe, seed=42, classes=classes)
    one.begin(fabric)
    one.network.train()
    epoch = 0
    while True:
        plan = data.Pass(42, epoch, batch)
        for step, some in enumerate(stream.train(plan, sight.views, fabric.device)):
            one.step(fabric, sight.see(some), some.together, step)
            yield
        epoch += 1


def alone(architecture: str, classes: int, batch: int) -> Iterator[None]:
    """A step each time: plain torch on pictures that are there already."""
    recipe = recipe_of(batch)
    fabric = distributed.launch(recipe.device, recipe.precision)
    network = networks.build(architecture, classes).to(fabric.device).train()
    images = torch.randn(batch, 3, 256, 256, device=fabric.device)
    masks = torch.randint(classes, (batch, 256, 256), device=fabric.device)
    optimiser = build_optimiser(network, recipe)
    while True:
        with fabric.autocast():
            logits = network(images)
        loss = functional.cross_entropy(logits.float(), masks, ignore_index=IGNORE)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
        optimiser.step()
        yield


def measure(architecture: str, stream: data.TileStream, batch: int, steps: int) -> dict[str, Any]:
    """Tiles per second of both, one step of each after the other; the first two do not count."""
    ways = {
        "whole": whole(architecture, stream, batch),
        "alone": alone(architecture, len(stream.classes), batch),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(steps + 2):
        for name, way in ways.items():
            start = time.perf_counter()
            next(way)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - start)
    rates = {name: batch / statistics.median(spent[2:]) for name, spent in seconds.items()}
    return rates | {"batch": batch, "share": rates["whole"] / rates["alone"]}
