"""What one member starts from: its card, its network, and whether that is trained already."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from shared import models, patches
from shared.errors import StageError
from shared.training import Plan, ensemble, networks


@dataclass(frozen=True)
class Start:
    """One member before any row is read; ``trained`` and ``export`` are those of its member."""

    card: models.Card
    network: Callable[[], nn.Module]
    trained: bool = False
    export: ensemble.Export = networks.to_onnx

    @property
    def number(self) -> int:
        """Zero-based number of the member."""
        return int(Path(self.card.file).stem.rpartition("-")[2]) - 1


def member_file(number: int) -> str:
    """ONNX file of a zero-based member."""
    return f"member-{number + 1:02}.onnx"


def build_card(
    source: patches.Source, number: int, bands: tuple[str, ...], plan: Plan
) -> models.Card:
    """Card of a zero-based member on these bands, with the statistics of the training split.

    Raises:
        StageError: a band or its statistics are not in the file.
    """
    mean, std = models.band_statistics(source, bands)
    network = plan.network
    return models.Card(
        file=member_file(number), architecture=network.architecture, bands=bands, mean=mean,
        std=std, size=network.size, interpolation=network.interpolation, classes=source.classes,
    )  # fmt: skip


def refuse_contradictions(place: Path, said: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse flags that the files of a network contradict.

    Args:
        place: of the file, for the message.
        said: flags that it says.
        given: flags of the caller, as far as there are any.

    Raises:
        StageError: the first flag with another value.
    """
    for name, value in said.items():
        if given.get(name, value) != value:
            raise StageError(f"--{name}: {place} says {value!r}, found {given[name]!r}")
