"""sr_edsr: the suite of all super-resolution stages."""

from typing import Any, ClassVar

import torch

from shared.sr.networks import edsr
from tests.stages import sr_suite


class TestEdsr(sr_suite.Suite):
    """A small network of one channel, as sr-train saves it."""

    method = "edsr"
    title = "EDSR"
    tensor = "body.1.body.2.weight"
    load = staticmethod(edsr.load)
    refusals: ClassVar[dict[str, str]] = {
        "--inputs=byte": "--inputs: expected file or unit, found 'byte'",
        "--residual=-1": "--residual: expected at least 0, found -1.0",
    }

    network_flags: ClassVar[dict[str, Any]] = {"--inputs=unit": "unit", "--residual=0.25": 0.25}

    def network(self, channels: int) -> torch.nn.Module:
        """Eight features, three blocks."""
        torch.manual_seed(1)
        return edsr.EDSR(2, 8, 3)

    def neutral(self) -> sr_suite.Tensors:
        """Nothing but nearest-neighbour enlargement is left."""
        tensors = {name: 0 * value for name, value in self.tensors().items()}
        tensors["head.0.weight"][0, 0, 1, 1] = 1
        tensors["tail.0.0.weight"][:4, 0, 1, 1] = 1
        tensors["tail.1.weight"][0, 0, 1, 1] = 1
        return tensors
