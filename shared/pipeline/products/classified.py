"""Maps: the scene of a source, classified by its student and its teacher."""

from collections.abc import Iterator

from shared.pipeline.product import Product
from shared.pipeline.products.maps import scene_file
from shared.pipeline.settings import Settings

PUBLISHED = "so2sat-resnet20"  # product of weights


def products(settings: Settings) -> Iterator[Product]:
    """A map a classifier, below ``D/map/SCENE``; none where there is no scene.

    MODEL names a folder of its own. Else a scene that the caller names is classified by the
    published network, as nothing need be trained for that; a simulated city by the source's student
    and, where it sees optical bands alone, its teacher.
    """
    scene = scene_file(settings)
    if not scene:
        return
    stem = scene.rpartition("/")[2].removesuffix(".h5")
    is_given = settings.scene == scene
    for name, model in classifiers(settings).items():
        made = settings.map_model != model
        yield Product(
            "map", settings.below(f"map/{stem}/{name}"),
            (*(() if is_given else (scene,)), *((model,) if made else ())),
            ("--src", scene, "--model", model),
            raw=(*((scene,) if is_given else ()), *(() if made else (model,))),
        )  # fmt: skip


def classifiers(settings: Settings) -> dict[str, str]:
    """Name to model folder."""
    if settings.map_model:
        return {settings.map_model.rstrip("/").rpartition("/")[2]: settings.map_model}
    if settings.scene:
        return {PUBLISHED: f"{settings.weights_folder}/{PUBLISHED}"}
    found = {settings.student: settings.below(f"distill/{settings.student}")}
    stage, _, name = settings.student_teacher.partition("/")
    if stage == "teacher" and not name.endswith("-sar"):
        found[f"teacher-{name}"] = settings.below(settings.student_teacher)
    return found
