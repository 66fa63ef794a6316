"""SwinIR (Liang et al. 2021) in its light form, for several bands together."""

from torch import Tensor, nn

from shared.sisr_networks import windows
from shared.sisr_networks.layers import convolution


class Layers(nn.Module):
    """Layers of windows, every second one of them moved by half a window."""

    def __init__(self, layers: int, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(
                windows.Layer(width, heads, window, window // 2 * (layer % 2))
                for layer in range(layers)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, width) to the same."""
        made: Tensor = self.blocks(x)
        return made


class Block(nn.Module):
    """Layers of windows and a convolution, whose result is added to what came in."""

    def __init__(self, layers: int, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.residual_group = Layers(layers, width, heads, window)
        self.conv = convolution(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, width) to the same."""
        return x + _to_pixels(self.conv(_to_planes(self.residual_group(x))))


class Norm(nn.Module):
    """The norm before all blocks; a module of its own, as files of weights name it so."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(…, width) to the same."""
        made: Tensor = self.norm(x)
        return made


class SwinIR(nn.Module):
    """SwinIR with one convolution to the bands, its parameters named as `sr-train` names them.

    910,152 parameters for three bands, the factor 2 and 4 blocks of 6 layers of 60 features.
    Its convolutions mirror what lies outside, where those of the stages `sr-*` see zeros.

    Args:
        bands_in, bands_out: channels of the images.
        factor: output pixels along one of the input.
        blocks: how many.
        layers: of windows in each block.
        width: features, a multiple of the heads.
        heads: of the attention.
        window: pixels of a side.
    """

    def __init__(
        self, bands_in: int, bands_out: int, factor: int, *, blocks: int, layers: int, width: int,
        heads: int, window: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.grid, self.factor = window, factor
        self.reach = factor * windows.find_reach(blocks, layers, window)
        self.conv_first, self.patch_embed = convolution(bands_in, width), Norm(width)
        self.layers = nn.Sequential(*(Block(layers, width, heads, window) for _ in range(blocks)))
        self.norm, self.conv_after_body = nn.LayerNorm(width), convolution(width, width)
        self.upsample = nn.Sequential(
            convolution(width, factor**2 * bands_out), nn.PixelShuffle(factor)
        )
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=windows.SPREAD)
                nn.init.zeros_(layer.bias)

    @property
    def last(self) -> nn.Conv2d:
        """The convolution to the bands."""
        layer = self.upsample[0]
        assert isinstance(layer, nn.Conv2d)
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """(N, bands_in, h, w) to (N, bands_out, factor * h, factor * w)."""
        height, width = x.shape[2:]
        first = self.conv_first(windows.complete(x, self.grid))
        tokens = self.norm(self.layers(self.patch_embed(_to_pixels(first))))
        made: Tensor = self.upsample(self.conv_after_body(_to_planes(tokens)) + first)
        return made[:, :, : self.factor * height, : self.factor * width]


def _to_pixels(x: Tensor) -> Tensor:
    """(N, C, H, W) to (N, H, W, C)."""
    return x.permute(0, 2, 3, 1)


def _to_planes(x: Tensor) -> Tensor:
    """(N, H, W, C) to (N, C, H, W)."""
    return x.permute(0, 3, 1, 2)
