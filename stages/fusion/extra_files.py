"""Optional input files of a fusion, as flags."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ExtraFiles:
    """Optional input files: topology, radar, first weights.

    Attributes:
        tda_train: features files of the same variants; none trains on images alone.
        tda_test: features files of the test split.
        sar_train: patch file with sen1, for mode sar.
        sar_test: the same of the test split.
        weights: state dict of the image branch (.safetensors or .pth), for instance ImageNet.
    """

    tda_train: tuple[Path, ...] = ()
    tda_test: tuple[Path, ...] = ()
    sar_train: Path | None = None
    sar_test: Path | None = None
    weights: Path | None = None
