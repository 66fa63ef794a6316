"""sr_vdsr: the suite of all super-resolution stages."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shared.sr.networks import vdsr
from tests.stages import sr_suite


class TestVdsr(sr_suite.Suite):
    """A small network of one channel, as sr-train saves it."""

    method = "vdsr"
    title = "VDSR"
    tensor = "residual_layer.1.conv.weight"
    load = staticmethod(vdsr.load)
    side = 1
    weights_know_scale = False

    def network(self, channels: int) -> torch.nn.Module:
        """Eight features, three middle layers."""
        torch.manual_seed(1)
        return vdsr.VDSR(8, 3, 2)

    def neutral(self) -> sr_suite.Tensors:
        """Nothing is added to the bicubic enlargement."""
        return {name: 0 * value for name, value in self.tensors().items()}

    def check_real(self, sen2: NDArray[Any], large: NDArray[Any]) -> None:
        """Means of boxes come back: a bicubic enlargement is no repetition."""
        boxes = large.reshape(8, 32, 2, 32, 2, 10).mean((2, 4))
        error = np.sqrt(np.mean((boxes - sen2)[:, 2:-2, 2:-2] ** 2))
        assert error < 0.1 * sen2.std()
