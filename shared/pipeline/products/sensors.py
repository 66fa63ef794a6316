"""Pairs of two sensors, and the super-resolution that is learned from them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from shared.errors import StageError
from shared.pipeline.product import Flags, Product, check_folder, paths
from shared.pipeline.products import maps
from shared.pipeline.settings import Settings

RAW = "sensors"
# Pair files that a data set can give, by the variable that names its folder: bands and factor.
PAIRS = {"sen2venus": ("10m-x2", "20m-x4", "all-x2"), "worldstrat": ("10m-x2", "10m-x4")}
# How the finer sensor's images are corrected before a network learns from them, by the ending of
# its product's name; the last one is exported.
MODES = {
    "baseline": "baseline",
    "geometric": "geometric",
    "radiometric": "geometric+radiometric",
}
BEST = "radiometric"


def products(settings: Settings) -> Iterator[Product]:
    """Pair files of SEN2VENUS and WORLDSTRAT, else of drawn land; networks; an enlarged scene.

    Raises:
        StageError: there is no such folder, make cannot write its name, or it has no such pairs.
    """
    maps.check_scene(settings)
    city = Product("city", settings.below("city.h5"), in_all=True)
    is_drawn = not (settings.sen2venus or settings.worldstrat)
    if is_drawn and not settings.scene:
        yield city
    for made in pair_files(settings, is_drawn=True):
        yield replace(made, in_all=made.stage != "sisr-benchmark-metrics")
        if made.stage == "pairs":
            yield from _learned(settings, made)
            if settings.scene:
                yield _enlarged(settings, made, settings.scene, raw=(settings.scene,))
            elif is_drawn:
                yield _enlarged(settings, made, city.path, (city.path,))


def pair_files(settings: Settings, is_drawn: bool) -> Iterator[Product]:
    """Pair files of what SEN2VENUS and WORLDSTRAT name, and the metrics tried on them.

    Args:
        settings: of the source.
        is_drawn: whether two sensors are drawn where neither is named.

    Raises:
        StageError: there is no such folder, make cannot write its name, or it has no such pairs.
    """
    given = {"sen2venus": settings.sen2venus, "worldstrat": settings.worldstrat}
    for data, folder in given.items():
        if folder:
            check_folder(data.upper(), folder)
            yield from _pairs(settings, data, Path(folder).name, folder, (folder,), ())
    if is_drawn and not any(given.values()):
        drawn = settings.below("two-sensors")
        yield Product("two-sensors", drawn)
        yield from _pairs(settings, "sen2venus", "two-sensors", drawn, (), (drawn,))


def _pairs(
    settings: Settings, data: str, name: str, folder: str, raw: Flags, inputs: Flags
) -> Iterator[Product]:
    """``D/pairs/NAME/10m-x2.h5`` and the metrics tried on it, for each of the wanted pairs."""
    wanted = [variant for variant in settings.pairs if variant in PAIRS[data]]
    if not wanted:
        expected, found = ", ".join(PAIRS[data]), " ".join(settings.pairs) or "none"
        raise StageError(f"PAIRS: expected of {expected} for {folder}, found {found}")
    for variant in wanted:
        bands, _, scale = variant.partition("-x")
        flags = ("--src", folder, "--bands", bands, "--scale", scale)
        made = settings.below(f"pairs/{name}/{variant}.h5")
        yield Product("pairs", made, inputs, flags, raw)
        tried = settings.below(f"sisr-benchmark-metrics/{name}/{variant}")
        yield Product("sisr-benchmark-metrics", tried, (made,), ("--src", made))


def _learned(settings: Settings, pairs: Product) -> Iterator[Product]:
    """From a pair file to a network for others: ``D/sisr-train/NAME/10m-x2-MODE`` and so on."""
    name = _name(settings, pairs)
    src = ("--src", pairs.path)
    placed = settings.below(f"register/{name}")
    yield Product("register", placed, (pairs.path,), src, in_all=True)
    networks = {mode: settings.below(f"sisr-train/{name}-{mode}") for mode in MODES}
    for mode, network in networks.items():
        used = (placed,) if MODES[mode] != "baseline" else ()
        yield Product(
            "sisr-train", network, (pairs.path, *used),
            (*src, *paths("registration", used), "--mode", MODES[mode]), in_all=True,
        )  # fmt: skip
    yield Product(
        "sisr-eval", settings.below(f"sisr-eval/{name}"), (pairs.path, placed, *networks.values()),
        (*src, *paths("networks", networks.values()), "--registration", placed), in_all=True,
    )  # fmt: skip
    exported = settings.below(f"sisr-export/{name}")
    flags = ("--src", networks[BEST], "--pairs", pairs.path)
    yield Product("sisr-export", exported, (networks[BEST], pairs.path), flags, in_all=True)


def _name(settings: Settings, pairs: Product) -> str:
    """Data set and variant of a pair file: NAME/10m-x2."""
    return pairs.path.removeprefix(settings.below("pairs/")).removesuffix(".h5")


def _enlarged(
    settings: Settings, pairs: Product, scene: str, inputs: Flags = (), raw: Flags = ()
) -> Product:
    """A scene on finer pixels, by the network that learned from a pair file."""
    name = _name(settings, pairs)
    exported = settings.below(f"sisr-export/{name}")
    return Product(
        "scene-sr", settings.below(f"scene-sr/{maps.stem(scene)}/{name}"),
        (*inputs, exported), ("--src", scene, "--model", exported), raw, in_all=True,
    )  # fmt: skip
