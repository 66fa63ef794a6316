"""A bundle for the Voyager SDK as it lies on disk: its YAML with the paths resolved, its labels."""

import dataclasses
from pathlib import Path, PurePosixPath
from typing import Any

from shared import pictures
from shared.clutter import without_clutter
from shared.errors import StageError
from shared.names import check_names
from shared.reading import documents

SDK = "$AXELERA_FRAMEWORK"
LARGEST = 2**20  # bytes of a YAML, which PyYAML reads at 100 kB a second
READBACK = "readback.json"  # what voyager measured on the finished bundle


def sdk_folder(name: str) -> str:
    """Where a bundle lies in the SDK tree; the same path in every SDK version."""
    return f"{SDK}/customers/{name}"


@dataclasses.dataclass(frozen=True)
class Bundle:
    """One folder and its YAML.

    Attributes:
        folder: the bundle.
        yaml: the whole model YAML.
    """

    folder: Path
    yaml: dict[str, Any]

    @property
    def task(self) -> dict[str, Any]:
        """The one task of the pipeline."""
        ((task,),) = [list(entry.values()) for entry in self.yaml["pipeline"]]
        return dict(task)

    @property
    def steps(self) -> dict[str, dict[str, Any]]:
        """Arguments of the preprocessing operators by name, in order."""
        return {name: dict(v or {}) for step in self.task["preprocess"] for name, v in step.items()}

    @property
    def model(self) -> dict[str, Any]:
        """The entry under models that the task names."""
        return dict(self.yaml["models"][self.task["model_name"]])

    @property
    def dataset(self) -> dict[str, Any]:
        """The entry under datasets that the model names."""
        return dict(self.yaml["datasets"][self.model["dataset"]])

    def path(self, text: str) -> Path:
        """A path of the YAML as it will be once the bundle is copied into the SDK."""
        place = sdk_folder(self.yaml["name"]) + "/"
        if not text.startswith(place):
            raise ValueError(f"{text} does not lie in {place}")
        return self._inside(text.removeprefix(place))

    def _inside(self, name: str) -> Path:
        """A path below the bundle; ValueError for one that leads out of it."""
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\0" in name:
            raise ValueError(f"{name} does not lie in the bundle")
        return self.folder / name

    @property
    def network(self) -> Path:
        """The ONNX file."""
        return self.path(self.model["weight_path"])

    @property
    def calibration(self) -> Path:
        """The folder of calibration pictures."""
        return self.path(self.dataset["repr_imgs_dir_path"])

    @property
    def validation(self) -> Path:
        """The folder of class folders."""
        return self._inside(str(self.dataset["val_data"]))

    @property
    def labels(self) -> tuple[str, ...]:
        """(K,) class names: the lines of the labels file that are not blank.

        Raises:
            StageError: a name that is not UTF-8 or has control characters.
        """
        path = self.path(self.dataset["labels_path"])
        try:
            lines = documents.read_text(path).split("\n")
        except UnicodeDecodeError:
            raise StageError(f"{path}: expected labels in UTF-8, found other text") from None
        labels = tuple(line.strip() for line in lines if line.strip())
        check_names(labels, f"{path}: labels")
        return labels

    def class_folders(self) -> list[Path]:
        """The folders of test pictures, whose plain string order is that of the classes."""
        entries = without_clutter(self.validation.iterdir())
        return [path for path in entries if path.is_dir()]

    def pictures(self) -> list[tuple[Path, int]]:
        """Test pictures and their classes: class folders and pictures in plain string order.

        One line of log counts what else lies there: the SDK might take it for more than it is.

        Raises:
            StageError: a picture is a link that leads nowhere.
        """
        classes = self.class_folders()
        skipped = [path for path in sorted(self.validation.iterdir()) if path not in classes]
        files: list[tuple[Path, int]] = []
        for k, place in enumerate(classes):
            taken, others = pictures.list_files(place)
            files += [(path, k) for path in taken]
            skipped += others
        pictures.tell_skipped(self.folder, skipped, "; remove them before the bundle is deployed")
        return files


def open_bundle(folder: Path) -> Bundle:
    """Read the one YAML of a bundle.

    Raises:
        StageError: none, several, or not readable.
    """
    import yaml

    if not folder.is_dir():
        raise StageError(f"{folder}: expected a folder of voyager, found a file")
    files = without_clutter(folder.glob("*.yaml"))
    if len(files) != 1:
        raise StageError(f"{folder}: expected one YAML, found {[path.name for path in files]}")
    try:
        content = yaml.safe_load(documents.read_text(files[0], LARGEST))
    except (yaml.YAMLError, ValueError, RecursionError, OSError, TypeError) as error:
        raise StageError(f"{files[0]}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict) or "name" not in content:
        raise StageError(f"{files[0]}: expected a mapping with a name")
    return Bundle(folder, content)
