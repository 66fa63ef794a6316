"""EDSR of this toolchain for several bands together."""

import math

from torch import Tensor, nn

from shared.sisr_networks.layers import add_reaches
from shared.sr.networks import edsr


class Adapter(nn.Module):
    """EDSR (Lim et al. 2017) with the parameter names of `sr-train --method edsr`.

    Its convolutions mirror what lies outside, where those of the stages `sr-*` see zeros.

    Args:
        bands_in, bands_out: channels of the images.
        factor: a power of 2.
        blocks: residual blocks.
        width: features of a layer.
    """

    def __init__(
        self, bands_in: int, bands_out: int, factor: int, *, blocks: int, width: int
    ) -> None:
        super().__init__()
        steps = int(math.log2(factor))
        convolutions = [(1, 2**step) for step in range(steps)]
        low = 2 * blocks + 2
        self.reach = add_reaches([(low, 1), *convolutions, (1, factor)], factor)
        self.network = edsr.EDSR(factor, width, blocks, channels=bands_in)
        if bands_in != bands_out:
            self.network.tail[1] = edsr.convolution(width, bands_out)
        for layer in self.network.modules():
            if isinstance(layer, nn.Conv2d):
                layer.padding_mode = "reflect"

    @property
    def last(self) -> nn.Conv2d:
        """The convolution to the bands."""
        layer = self.network.tail[1]
        assert isinstance(layer, nn.Conv2d)
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """(N, bands_in, h, w) to (N, bands_out, factor * h, factor * w)."""
        made: Tensor = self.network(x)
        return made
