"""Scenes, and what is made of them."""

from collections.abc import Iterator

from shared.pipeline.product import Product
from shared.pipeline.settings import Settings


def city(settings: Settings) -> str:
    """The scene of a simulated city, which maps of the procedural sources are made of."""
    return settings.below("city.h5")


def products(settings: Settings) -> Iterator[Product]:
    """The scenes of a source: of a procedural one that of a city."""
    if settings.raw == "demo":
        yield Product("city", city(settings))
