"""Super-resolution: published weights, weights of sr-train, enlarged splits."""

from collections.abc import Iterator
from pathlib import Path

from shared import published
from shared.errors import StageError
from shared.pipeline.product import Flags, Product, flag, paths
from shared.pipeline.settings import Settings
from shared.sr import methods

SPLITS = ("training", "testing")


def products(settings: Settings, in_docker: bool) -> Iterator[Product]:
    """Every product of super-resolution: weights, enlarged splits, their comparison."""
    files = list(weights_files(settings))
    yield from published_weights(settings, files, in_docker)
    if not settings.has_topology:
        return
    whole = set(settings.compared) <= set(settings.sr)
    for scale in sorted({scale_of(variant) for variant in settings.compared}):
        test = f"{settings.prepared}/testing.h5"
        flags = ("--src", test, "--scale", str(scale))
        yield Product("sr-degrade", degraded(settings, scale), (test,), flags, in_all=whole)
    for method in methods.load_all().values():
        for scale in method.variants:
            yield from variant_products(settings, method, scale, files)
    yield comparison(settings, whole)


def method_of(variant: str) -> str:
    """ "edsr" of "edsr-x2"."""
    return variant.partition("-x")[0]


def scale_of(variant: str) -> int:
    """2 of "edsr-x2"."""
    return int(variant.partition("-x")[2])


def enlarged(settings: Settings, variant: str, name: str) -> str:
    """An enlarged file: ``D/sr-edsr/x2/NAME.h5``."""
    return settings.below(f"sr-{method_of(variant)}/x{scale_of(variant)}/{name}.h5")


def degraded(settings: Settings, scale: int) -> str:
    """The degraded test split."""
    return settings.below(f"sr-degrade/x{scale}/testing.h5")


def weights_files(settings: Settings) -> Iterator[str]:
    """Published files that `weights` can fetch: those with a URL, or those of the mirror.

    Raises:
        StageError: the mirror is a folder that has none of them.
    """
    files = published.load_all()
    mirror = settings.mirror.removeprefix("file://")
    if not mirror or "://" in mirror:
        yield from sorted(name for name, file in files.items() if file.url)
        return
    present = sorted(name for name in files if (Path(mirror) / name).is_file())
    if not present:
        raise StageError(
            f"MIRROR: expected a folder with published weights, found none in {mirror}"
        )
    yield from present


def published_weights(settings: Settings, files: list[str], in_docker: bool) -> Iterator[Product]:
    """One product per published file, and the model folder of a published classifier."""
    mirror = settings.mirror.removeprefix("file://")
    folder = mirror and "://" not in mirror
    mount = str(Path(mirror).absolute()) if folder and in_docker else ""
    for file in files:
        flags = ("--name", file, *flag("mirror", "/mirror" if mount else mirror))
        yield Product("weights", f"{settings.weights_folder}/{file}", (), flags, mount=mount)
    for name, classifier in published.load_classifiers().items():
        source = f"{settings.weights_folder}/{classifier.name}"
        if classifier.name in files:
            path = f"{settings.weights_folder}/{name}"
            yield Product("weights", path, (source,), ("--src", source))


def weights_of(settings: Settings, method: methods.Method, scale: int) -> str:
    """The weights that a method uses: the caller's own, published ones, or those of sr-train."""
    variant = f"{method.name}-x{scale}"
    if variant in settings.own_weights:
        return settings.own_weights[variant]
    default = method.default_weights(scale)
    if settings.weights == "published" and default:
        return f"{settings.weights_folder}/{default}"
    return settings.below(f"sr-train/{variant}.safetensors")


def variant_products(
    settings: Settings, method: methods.Method, scale: int, files: list[str]
) -> Iterator[Product]:
    """One method at one scale: its weights if sr-train makes them, and three enlarged files."""
    variant, weights = f"{method.name}-x{scale}", weights_of(settings, method, scale)
    in_all = variant in settings.sr
    trained = weights.startswith(settings.below("sr-train/"))
    if trained:
        yield training(settings, method, scale, weights, in_all)
    made = trained or weights in [f"{settings.weights_folder}/{file}" for file in files]
    extra: Flags = method.flags_with_own_weights if trained else ()
    sources = {split: f"{settings.prepared}/{split}.h5" for split in SPLITS}
    compared = variant in settings.compared
    whole = set(settings.compared) <= set(settings.sr)
    for name, source in {**sources, "wald": degraded(settings, scale)}.items():
        wald = name == "wald"
        if wald and not compared:
            continue
        yield Product(
            f"sr-{method.name}",
            enlarged(settings, variant, name),
            (source, *((weights,) if made else ())),
            ("--src", source, "--weights", weights, "--scale", str(scale), *extra),
            in_all=whole if wald else in_all,
            verbs=("sr",) if compared and not wald else (),
            aside=wald,
        )


def training(
    settings: Settings, method: methods.Method, scale: int, weights: str, in_all: bool
) -> Product:
    """Weights that sr-train learns from the training split."""
    source = f"{settings.prepared}/training.h5"
    sizes = method.demo if settings.small else {}
    size = [word for name, value in sizes.items() for word in flag(name, value)]
    flags = ("--src", source, "--method", method.name, "--scale", str(scale), *size)
    return Product("sr-train", weights, (source,), flags, in_all=in_all)


def comparison(settings: Settings, in_all: bool) -> Product:
    """sr-eval, over all compared variants."""
    test = f"{settings.prepared}/testing.h5"
    wald = [enlarged(settings, variant, "wald") for variant in settings.compared]
    large = [enlarged(settings, variant, "testing") for variant in settings.compared]
    flags = ("--src", test, *paths("wald", wald), *paths("enlarged", large))
    path = settings.below("sr-eval")
    return Product("sr-eval", path, (test, *wald, *large), flags, in_all=in_all, verbs=("sr",))
