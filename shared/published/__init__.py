"""Every published file of weights by name: those of super-resolution, and classifiers.

A classifier is one TOML file here (`so2sat-resnet20.toml`). It needs nothing but the standard
library, so that the pipeline reads it as well.
"""

from pathlib import Path

import tomllib

from shared.errors import StageError
from shared.sr import methods
from shared.sr.methods import Published

__all__ = ["FOLDER", "Published", "load_all", "load_classifiers"]

FOLDER = Path(__file__).parent


def load_classifiers(folder: Path = FOLDER) -> dict[str, Published]:
    """The published classifiers, by the name of their model folder.

    Raises:
        StageError: a record that cannot be read, or a file that is not described as demanded.
    """
    files = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            files[path.stem] = Published(scales=(), **tomllib.loads(path.read_text()))
        except (tomllib.TOMLDecodeError, TypeError, UnicodeDecodeError) as error:
            raise StageError(f"{path}: not a record of a classifier ({error})") from None
        methods.check_file(path, files[path.stem])
    return files


def load_all() -> dict[str, Published]:
    """Every published file by its own name."""
    return methods.load_published() | {file.name: file for file in load_classifiers().values()}
