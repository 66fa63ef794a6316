"""sr_vdsr: the suite of all super-resolution stages, and real patches."""

from pathlib import Path

import numpy as np
import pytest
import torch

from shared.sr.networks import vdsr
from tests.stages import sr_suite
from tests.stages.sr_suite import few, stored

__all__ = ["few", "stored"]


class TestVdsr(sr_suite.Suite):
    """A small network of one channel, as sr-train saves it."""

    method = "vdsr"
    title = "VDSR"
    tensor = "residual_layer.1.conv.weight"
    side = 1
    weights_know_scale = False

    def tensors(self) -> sr_suite.Tensors:
        """Eight features, three middle layers."""
        torch.manual_seed(1)
        return vdsr.VDSR(8, 3, 2).state_dict()

    def band(self, weights: Path, unit: torch.Tensor) -> torch.Tensor:
        """By the network alone."""
        return vdsr.load(weights, 2, "first")(unit[None, None])[0, 0]

    @pytest.mark.data
    def test_real_patches_come_back_when_averaged(self, real: Path, tmp_path: Path) -> None:
        """A network that adds nothing enlarges real patches without changing their means."""
        tensors = {name: 0 * value for name, value in self.tensors().items()}
        sen2, large = self.enlarge_real(real, tmp_path, tensors)
        boxes = large.reshape(8, 32, 2, 32, 2, 10).mean((2, 4))
        error = np.sqrt(np.mean((boxes - sen2)[:, 2:-2, 2:-2] ** 2))
        assert error < 0.1 * sen2.std()
