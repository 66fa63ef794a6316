"""sr_edsr: the suite of all super-resolution stages, and real patches."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from shared.sr.networks import edsr
from tests.stages import sr_suite
from tests.stages.sr_suite import few, stored

__all__ = ["few", "stored"]


class TestEdsr(sr_suite.Suite):
    """A small network of one channel, as sr-train saves it."""

    method = "edsr"
    title = "EDSR"
    tensor = "body.1.body.2.weight"
    refusals: ClassVar[dict[str, str]] = {
        "--inputs=byte": "--inputs: expected file or unit, found 'byte'",
        "--residual=-1": "--residual: expected at least 0, found -1.0",
    }

    def tensors(self) -> sr_suite.Tensors:
        """Eight features, three blocks."""
        torch.manual_seed(1)
        return edsr.EDSR(2, 8, 3).state_dict()

    def band(self, weights: Path, unit: torch.Tensor) -> torch.Tensor:
        """By the network alone."""
        return edsr.load(weights, 2, "first")(unit[None, None])[0, 0]

    @pytest.mark.data
    def test_real_patches_come_back_when_averaged(self, real: Path, tmp_path: Path) -> None:
        """A network that starts as nearest-neighbour enlargement keeps real patches as they are."""
        tensors = {name: 0 * value for name, value in self.tensors().items()}
        tensors["head.0.weight"][0, 0, 1, 1] = 1
        tensors["tail.0.0.weight"][:4, 0, 1, 1] = 1
        tensors["tail.1.weight"][0, 0, 1, 1] = 1
        sen2, large = self.enlarge_real(real, tmp_path, tensors)
        np.testing.assert_allclose(large, sen2.repeat(2, 1).repeat(2, 2), atol=1e-4)
