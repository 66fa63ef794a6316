"""The two ends of the chain: patch files at its start; student, ONNX, bundle, report at its end."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from shared.pipeline.product import Product, flag, paths
from shared.pipeline.products.ensembles import prepared_products, splits
from shared.pipeline.products.super_resolution import SPLITS
from shared.pipeline.settings import Settings

QAT_EPOCHS = "5"
OTHER_SDKS = ("1.2", "1.6", "all")  # besides the newest, which voyager takes by itself
UNSHOWN = (  # in `make all`, but the report does not read them
    "tda-plot", "orthophoto", "city", "two-sensors", "pairs", "register", "sisr-train",
    "sisr-export",
)  # fmt: skip
BEYOND = (  # shown if they exist
    "teacher", "fusion", "sumrule", "distill", "explain", "export", "voyager", "map",
    "calibrate", "audit",
)  # fmt: skip


def patch_files(settings: Settings) -> Iterator[Product]:
    """Both prepared splits, and the raw patches if a stage makes them."""
    if settings.raw == "eurosat":
        flags = ("--src", settings.eurosat, *flag("split_lists", settings.split_lists))
        yield Product("eurosat", settings.prepared, (), flags, in_all=True)
        return
    raw = settings.below("so2sat")
    if settings.raw == "demo":
        yield Product("demo", raw, in_all=True)
    for split in SPLITS:
        file, positions = f"{raw}/{split}.h5", f"{raw}/{split}_geo.h5"
        # Version 4 has files with the position of each patch; prepare finds the city from it.
        geo = ("--geo", positions) if Path(positions).exists() else ()
        yield Product(
            "prepare",
            f"{settings.prepared}/{split}.h5",
            (raw,) if settings.raw == "demo" else (),
            ("--src", file, *geo),
            raw=() if settings.raw == "demo" else (file,),
            in_all=True,
        )


def edge(settings: Settings) -> Iterator[Product]:
    """Student, ONNX and bundle; the student fine-tuned for INT8."""
    prepared, teacher = prepared_products(settings), settings.below(settings.student_teacher)
    both = splits(settings)
    own = ("--architecture", settings.student) if settings.student != Settings.student else ()
    learning = (*both, "--teacher", teacher, *own)
    student = settings.below(f"distill/{settings.student}")
    exported = settings.below(f"export/{settings.student}")
    bundle = settings.below(f"voyager/{settings.student}")
    yield Product("distill", student, (*prepared, teacher), learning, in_all=True)
    yield Product(
        "export", exported, (*prepared, student), ("--src", student, *both), in_all=True,
        verbs=("qat",),
    )  # fmt: skip
    packed = ("--src", exported, *both)
    yield Product(
        "voyager", bundle, (*prepared, exported), packed, in_all=True, verbs=("bundles",)
    )  # fmt: skip
    for sdk in OTHER_SDKS:
        yield Product(
            "voyager", f"{bundle}-sdk-{sdk}", (*prepared, exported), packed, verbs=("bundles",),
            aside=True, own=("--sdk", sdk),
        )  # fmt: skip
    tuned = settings.below(f"distill/{settings.student}-qat")
    start = ("--checkpoint", f"{student}/student.safetensors", "--qat", QAT_EPOCHS)
    yield Product(
        "distill", tuned, (*prepared, student, teacher), (*learning, *start), verbs=("qat",),
        aside=True,
    )  # fmt: skip
    yield Product(
        "export", settings.below(f"export/{settings.student}-qat"), (*prepared, tuned),
        ("--src", tuned, *both), verbs=("qat",), aside=True,
    )  # fmt: skip


def calibrations(settings: Settings) -> Iterator[Product]:
    """Prediction sets of teacher, student and its INT8 form, where the source knows its cities."""
    if settings.raw == "eurosat":
        return
    exported = settings.below(f"export/{settings.student}")
    for name, product, folder in (
        ("teacher", settings.below(settings.student_teacher), ""),
        (settings.student, settings.below(f"distill/{settings.student}"), ""),
        (f"{settings.student}-int8", exported, "/int8"),
    ):
        test = f"{settings.prepared}/testing.h5"
        yield Product(
            "calibrate", settings.below(f"calibrate/{name}.json"),
            (*prepared_products(settings), product), ("--src", product + folder, "--test", test),
        )  # fmt: skip


def explanation(settings: Settings) -> Product:
    """Where the student looks, beside its teacher where that is one of pictures alone."""
    seen = [settings.below(f"distill/{settings.student}")]
    if settings.student_teacher.startswith("teacher/"):
        seen.append(settings.below(settings.student_teacher))
    return explained(settings, settings.student, seen)


def explained(
    settings: Settings, name: str, seen: list[str], verbs: tuple[str, ...] = ()
) -> Product:
    """Pictures of where these classifiers look on the test split.

    Args:
        settings: of the source.
        name: of the product, below ``D/explain``.
        seen: products of teacher or distill.
        verbs: further ones that make it; then it is that verb's alone, and made anew with it.
    """
    return Product(
        "explain", settings.below(f"explain/{name}"), (*prepared_products(settings), *seen),
        (*paths("src", seen), "--test", f"{settings.prepared}/testing.h5"), verbs=verbs,
        aside=bool(verbs), renewed=bool(verbs),
    )  # fmt: skip


def report(settings: Settings, others: Iterable[Product], goals: Iterable[str]) -> Product:
    """The page about the others: those of `make all`, and more that exist or that goals ask for."""
    others, goals = list(others), set(goals)
    shown = [p.path for p in _in_page_order(others) if p.in_all and p.stage not in UNSHOWN]
    beyond = [p.path for p in others if is_shown_beyond(p, goals) and p.path not in shown]
    shown += sorted(set(beyond) - {p.path for p in others if p.in_all})
    return Product(
        "report", settings.below("report.html"), tuple(shown), paths("src", shown), in_all=True,
        renewed=True,
    )  # fmt: skip


def _in_page_order(products: Iterable[Product]) -> list[Product]:
    """The degraded splits just before their comparison, after the methods."""
    ordered, degraded = list[Product](), list[Product]()
    for product in products:
        if product.stage == "sr-eval":
            ordered += degraded
        (degraded if product.stage == "sr-degrade" else ordered).append(product)
    return ordered


def is_shown_beyond(product: Product, goals: set[str]) -> bool:
    """Whether the report shows a product that `make all` leaves out."""
    if product.stage not in BEYOND:
        return False
    if goals & set(product.verbs) & {"qat", "students"}:
        return True
    if product.stage in goals:
        return not product.aside
    return Path(product.record).exists()
