"""The audit of the training labels, and the ensemble of folds whose scores it reads."""

import dataclasses
from collections.abc import Iterator

from shared.pipeline.product import Product
from shared.pipeline.products import ensembles
from shared.pipeline.settings import Settings

FOLDS = "4"  # each with one member


def products(settings: Settings) -> Iterator[Product]:
    """Labels that look wrong by the first architecture in the first mode: ``D/audit/training``."""
    name = f"{settings.architectures[0]}-{settings.modes[0]}"
    plain = ensembles.teacher(settings, name)
    path = settings.below(f"teacher/{name}-folds")
    own = ("--members", FOLDS, "--folds", FOLDS)
    yield dataclasses.replace(plain, path=path, in_all=False, aside=True, own=own)
    train = f"{settings.prepared}/training.h5"
    yield Product(
        "audit", settings.below("audit/training"),
        (*ensembles.prepared_products(settings), path), ("--src", path, "--train", train),
    )  # fmt: skip
