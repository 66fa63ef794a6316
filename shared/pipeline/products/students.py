"""`make students`: further students of one teacher, seed by seed where a source repeats them."""

from collections.abc import Iterator
from dataclasses import replace

from shared.pipeline.product import Product, flag, paths
from shared.pipeline.products.chain import explained
from shared.pipeline.products.ensembles import prepared_products, split_name, splits
from shared.pipeline.products.ensembles import teacher as ensemble
from shared.pipeline.settings import Settings

PUBLISHED = ("mobilenetv3_small_100", "mobilenetv4_conv_medium", "efficientnet_b0")


def products(settings: Settings) -> Iterator[Product]:
    """The students, each with its twin inside; where the first ones look; their comparison."""
    yield from teacher_of_its_own(settings)
    teacher = settings.below(settings.students_teacher)
    inputs = (*prepared_products(settings), teacher)
    flags = (*splits(settings), "--teacher", teacher)
    seeds = tuple(dict.fromkeys(settings.seeds or settings.student_seeds))
    made = [
        Product(
            "distill", settings.below(f"distill/{name}{f'-{seed}' if seed else ''}"), inputs,
            (*flags, "--architecture", name), verbs=("students",), aside=True,
            own=(*settings.student_flags, *flag("seed", seed)),
        )
        for name in dict.fromkeys(settings.students or PUBLISHED)
        for seed in seeds or ("",)
    ]  # fmt: skip
    yield from made
    first = [one.path for one in made[:: len(seeds) or 1]]
    yield explained(settings, "students", first, verbs=("students",))
    if seeds and made:
        compared = (teacher, *(product.path for product in made))
        yield Product(
            "compare", settings.below("compare"), compared, paths("src", compared),
            verbs=("students",), renewed=True,
        )  # fmt: skip


def teacher_of_its_own(settings: Settings) -> Iterator[Product]:
    """The teacher that the source has for `make students`, unless it is one of its ensembles."""
    stage, _, name = settings.students_teacher.partition("/")
    architecture, mode = split_name(name)
    is_other = settings.students_teacher != settings.student_teacher
    is_known = architecture in settings.architectures and mode in settings.modes
    if stage == "teacher" and is_other and not is_known:
        made = ensemble(settings, name)
        yield replace(made, in_all=False, aside=True, verbs=("students",))
