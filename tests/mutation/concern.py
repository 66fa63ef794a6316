"""Which tests concern a file, the quick ones first; a mutant is killed by the first that fails."""

import re
from dataclasses import dataclass

from tests.mutation.mutants import ROOT


@dataclass(frozen=True)
class Tests:
    """What one run of pytest is given.

    Attributes:
        environment: folder of .venvs whose Python runs it.
        path: file, or one test of it.
    """

    environment: str
    path: str

    def command(self, *words: str) -> list[str]:
        """The command with these words for pytest, run in the root of a working tree."""
        python = f".venvs/{self.environment}/bin/python"
        start = ["-m", "pytest"] if self.environment == "dev" else ["tests/under.py"]
        return [python, *start, "-q", *words]


OURS = "test_mutation"  # it asks whether lines are as they were, and so would kill anything
STAGES = {  # of a room of shared, beside its own tests: those of stages that lean on it
    "patches": ("merge", "prepare"), "models": ("sumrule",), "voyager": ("voyager",),
    "sr": ("sr_degrade", "sr_bsrnet", "sr_edsr"), "training": ("teacher", "fusion"),
    "backend": ("sr_vdsr",), "onnx_graphs": ("export", "teacher"), "pictures": ("eurosat",),
    "weight_files": ("weights",), "landscape": ("demo", "orthophoto", "city", "two_sensors"),
    "segmentation": ("segment", "map"), "tiles": ("landcover", "segment"), "products": ("scene",),
    "scenes": ("scene", "map"), "registration": ("register",), "conformal": ("calibrate",),
    "sisr": ("pairs", "sisr_train", "sisr_eval"), "sisr_networks": ("sisr_train",),
    "sisr_client": ("sisr_export", "scene_sr"), "comparisons": ("sisr_eval", "sr_eval"),
    "int8": ("export",), "keras_files": ("weights", "teacher"), "runs": ("merge",),
}  # fmt: skip
SUITES = {  # rooms whose tests need the packages of a stage: environment and folder
    "sr": ("sr_swinir", "sr"), "backend": ("sr_swinir", "sr"), "training": ("distill", "training"),
}  # fmt: skip

ELSEWHERE = {  # files and rooms whose own tests are with what uses them
    "onnx_graphs": [Tests("distill", "tests/training/test_onnx_graphs.py")],
    "keras_files": [Tests("distill", "tests/training/test_keras_files.py")],
    "shared/models/figures.py": [Tests("distill", "tests/training/test_product.py")],
}
DECLARING = {  # flags of several stages
    "shared/sr/options.py", "shared/training/groups.py", "shared/segmentation/groups.py",
}  # fmt: skip
FOLDERS = {  # of tests, with the environment that runs them
    "shared": "dev", "training": "distill", "sr": "sr_swinir", "ship": "ship", "stac": "stac",
}  # fmt: skip


def list_tests() -> list[Tests]:
    """Every file of tests that mutants are asked of, with the environment that runs it."""
    found = [Tests("dev", "tests/test_stages.py")]
    for path in sorted((ROOT / "tests").glob("*/test_*.py")):
        room, name = path.parent.name, path.relative_to(ROOT).as_posix()
        if room in FOLDERS and path.stem != OURS:
            found.append(Tests(FOLDERS[room], name))
        elif room == "stages":
            found.append(Tests(_stage_of(path.stem), name))
    return found


def _stage_of(stem: str) -> str:
    """The stage of a file of tests: export for test_export_fix, tda_plot for test_tda_plot."""
    words = stem.removeprefix("test_").split("_")
    starts = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
    return next(name for name in starts if (ROOT / "stages" / name).is_dir())


def choose_tests(path: str) -> list[Tests]:
    """The tests that concern a file of shared, or of a stage."""
    top, name, *rest = path.split("/")
    if top == "stages":
        return [_of_flags(f"test_flags_are_as_docs_say[{name}]"), *_of_stage(name)]
    if path.startswith("shared/tools/ship/"):
        return [Tests("ship", name) for name in _that_mention("ship", [name])]
    room = name.removesuffix(".py")
    environment, folder = SUITES.get(room, ("dev", "shared"))
    words = rest[-1:] if room in SUITES else [name, *rest]
    own = [Tests(environment, name) for name in _that_mention(folder, words)]
    own = ELSEWHERE[room] if room in ELSEWHERE else ELSEWHERE.get(path, []) + own
    if path in DECLARING:
        own = [_of_flags("test_the_page_of_flags_is_as_make_writes_it"), *own]
    of_stages = [tests for stage in STAGES.get(room, ()) for tests in _of_stage(stage)]
    return own + of_stages or [Tests(environment, name) for name in _all_of(folder)]


def _of_stage(name: str) -> list[Tests]:
    """Its file of tests, then further ones."""
    paths = sorted((ROOT / "tests" / "stages").glob(f"test_{name}*.py"), key=lambda p: p.stem)
    return [
        Tests(name, path.relative_to(ROOT).as_posix())
        for path in paths
        if _stage_of(path.stem) == name
    ]


def _of_flags(test: str) -> Tests:
    """The contract that the flags are as documented."""
    return Tests("dev", f"tests/test_stages.py::{test}")


def _that_mention(folder: str, words: list[str]) -> list[str]:
    """Files of a folder of tests that name these modules, first those that name most."""
    texts = {name: (ROOT / name).read_text() for name in _all_of(folder)}

    def count(name: str) -> int:
        return sum(bool(re.search(rf"\b{w.removesuffix('.py')}\b", texts[name])) for w in words)

    return sorted((name for name in texts if count(name)), key=lambda name: -count(name))


def _all_of(folder: str) -> list[str]:
    paths = sorted((ROOT / "tests" / folder).glob("test_*.py"))
    return [path.relative_to(ROOT).as_posix() for path in paths if path.stem != OURS]
