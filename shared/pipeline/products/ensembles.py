"""Topology, teachers, fusions of image and topology, and their sums by the sum rule."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from shared.pipeline.product import Flags, Product, flag, paths
from shared.pipeline.products.super_resolution import SPLITS, enlarged
from shared.pipeline.settings import OBSERVED, Settings, chosen


def products(settings: Settings) -> Iterator[Product]:
    """Every ensemble: each architecture in each mode, and their sums."""
    names = [f"{a}-{mode}" for a in settings.architectures for mode in settings.modes]
    for name in names:
        yield teacher(settings, name)
    if not settings.has_topology:
        return
    yield from topology(settings)
    for name in names:
        yield fusion(settings, name, name, settings.fusion_variants)
    observed, pictures = f"{settings.ablated}-observed", f"{settings.ablated}-pictures"
    yield fusion(settings, settings.ablated, observed, (OBSERVED,))
    yield fusion(settings, settings.ablated, pictures, settings.fusion_variants, topology=False)
    yield topology_alone(settings)
    for stage in ("teacher", "fusion"):
        yield from sums(settings, stage)


def is_in_all(settings: Settings, name: str) -> bool:
    """Whether `make all` makes an ensemble, such as "teacher/resnet18-rand"."""
    aside = name.endswith(("-observed", "-pictures"))
    return not aside and any(fnmatchcase(name, pattern) for pattern in settings.all)


def splits(settings: Settings) -> Flags:
    """--train and --test, as prepared."""
    train, test = (f"{settings.prepared}/{split}.h5" for split in SPLITS)
    return ("--train", train, "--test", test)


def trained(settings: Settings, architecture: str) -> Flags:
    """Flags for the number of members and for their training."""
    members = flag("members", chosen(settings.members, architecture))
    epochs = flag("epochs", chosen(settings.epochs, architecture))
    return (*members, *epochs, *settings.learning)


def network(settings: Settings, name: str) -> Flags:
    """Flags for the network of an ensemble such as "resnet18-rand", its input and its training."""
    architecture, mode = split_name(name)
    size = flag("size", chosen(settings.pixels, architecture))
    name_flags = ("--architecture", architecture, "--mode", mode)
    return (*name_flags, *size, *trained(settings, architecture))


def split_name(name: str) -> tuple[str, str]:
    """Architecture and mode of "resnet18-rand"; the first may have dashes of its own."""
    return name.rpartition("-")[0], name.rpartition("-")[2]


def teacher(settings: Settings, name: str) -> Product:
    """An ensemble on random band triples."""
    architecture = split_name(name)[0]
    batch = flag("batch", chosen(settings.teacher_batch, architecture))
    weights = flag("weights", settings.own_weights.get(architecture))
    return Product(
        "teacher",
        settings.below(f"teacher/{name}"),
        prepared_products(settings),
        (*splits(settings), *network(settings, name), *batch, *weights),
        in_all=is_in_all(settings, f"teacher/{name}"),
    )


def prepared_products(settings: Settings) -> tuple[str, ...]:
    """The products that hold the prepared splits: one folder of eurosat, or two files."""
    if settings.raw == "eurosat":
        return (settings.prepared,)
    return tuple(f"{settings.prepared}/{split}.h5" for split in SPLITS)


# --- topology -------------------------------------------------------------------------------------
def patches(settings: Settings, variant: str, split: str) -> str:
    """File of the patches that a member of a fusion sees: as observed, or enlarged."""
    if variant == OBSERVED:
        return f"{settings.prepared}/{split}.h5"
    return enlarged(settings, variant, split)


def features(settings: Settings, variant: str, split: str) -> str:
    """File of the topological features of these patches."""
    folder = OBSERVED if variant == OBSERVED else f"sr-{variant}"
    return settings.below(f"tda/{folder}/{split}.h5")


def topology(settings: Settings) -> Iterator[Product]:
    """Features of what fusion sees; the grid is fitted once, on the training split as observed."""
    train = f"{settings.prepared}/training.h5"
    grid, test = features(settings, OBSERVED, "training"), f"{settings.prepared}/testing.h5"
    test_features = features(settings, OBSERVED, "testing")
    yield Product("tda", grid, prepared_products(settings), ("--src", train), in_all=True)
    yield Product(
        "tda", test_features, (*prepared_products(settings), grid),
        ("--src", test, "--grid", grid), in_all=True,
    )  # fmt: skip
    yield Product(
        "tda-plot", settings.below("tda-plot"), (*prepared_products(settings), test_features),
        ("--src", test, "--features", test_features), in_all=settings.plot,
    )  # fmt: skip
    for variant in sorted({*settings.fusion_variants} - {OBSERVED}):
        for split in SPLITS:
            source = patches(settings, variant, split)
            flags = ("--src", source, "--grid", grid)
            path = features(settings, variant, split)
            yield Product("tda", path, (source, grid), flags, in_all=True)


# --- fusion ---------------------------------------------------------------------------------------
def fusion_inputs(settings: Settings, variants: Iterable[str], with_topology: bool) -> list[str]:
    """Products that a fusion of these variants reads."""
    inputs = set(prepared_products(settings))
    for split in SPLITS:
        inputs |= {patches(settings, variant, split) for variant in variants}
        if with_topology:
            inputs |= {features(settings, variant, split) for variant in variants}
    return sorted(inputs)


def files(settings: Settings, variants: Iterable[str], with_topology: bool) -> Flags:
    """--train and --test, and --tda_train and --tda_test with topology, one file per variant."""
    flags: Flags = ()
    for start, locate in (("", patches), ("tda_", features))[: 1 + with_topology]:
        for name, split in (("train", "training"), ("test", "testing")):
            located = [locate(settings, variant, split) for variant in variants]
            flags += paths(f"{start}{name}", located)
    return flags


def fusion(
    settings: Settings,
    ensemble: str,
    name: str,
    variants: tuple[str, ...],
    *,
    topology: bool = True,
) -> Product:
    """An ensemble that sees image and topology; ``ensemble`` is architecture and mode."""
    radar: Flags = ()
    if split_name(ensemble)[1] == "sar":
        train, test = (f"{settings.prepared}/{split}.h5" for split in SPLITS)
        radar = ("--sar_train", train, "--sar_test", test)
    aside = name != ensemble
    return Product(
        "fusion",
        settings.below(f"fusion/{name}"),
        tuple(fusion_inputs(settings, variants, topology)),
        (
            *files(settings, variants, topology),
            *radar,
            *network(settings, ensemble),
            *flag("batch", settings.fusion_batch),
        ),
        in_all=is_in_all(settings, f"fusion/{name}"),
        verbs=("ablations",) if aside else (),
        aside=aside,
    )


def topology_alone(settings: Settings) -> Product:
    """A classifier of topology without pictures."""
    observed = (OBSERVED,)
    both = files(settings, observed, with_topology=True)
    learning = trained(settings, split_name(settings.ablated)[0])
    inputs = tuple(fusion_inputs(settings, observed, with_topology=True))
    return Product(
        "fusion", settings.below("fusion/topology"), inputs,
        ("--noimage", *both, *learning, *flag("batch", settings.fusion_batch)),
        in_all=is_in_all(settings, "fusion/topology"), verbs=("ablations",),
    )  # fmt: skip


# --- sums -----------------------------------------------------------------------------------------
def sums(settings: Settings, stage: str) -> Iterator[Product]:
    """Over the modes of an architecture, then over the architectures, each counting once."""
    if len(settings.modes) < 2:
        return
    for architecture in settings.architectures:
        folders = [settings.below(f"{stage}/{architecture}-{mode}") for mode in settings.modes]
        yield summed(settings, f"{stage}-{architecture}", folders)
    if len(settings.architectures) > 1:
        names = settings.architectures
        yield summed(settings, stage, [settings.below(f"sumrule/{stage}-{a}") for a in names])


def summed(settings: Settings, name: str, folders: list[str]) -> Product:
    """The averaged scores of some ensembles."""
    path, in_all = settings.below(f"sumrule/{name}"), is_in_all(settings, f"sumrule/{name}")
    return Product("sumrule", path, tuple(folders), paths("src", folders), in_all=in_all)
