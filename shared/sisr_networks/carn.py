"""CARN (Ahn et al. 2018) in the form of torchsisr: cascades of blocks, joined by running sums."""

from torch import Tensor, nn

from shared.sisr_networks.layers import add_reaches, convolution, rectifier


class Block(nn.Module):
    """An efficient residual block: two grouped convolutions and one of single pixels."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(width, width, 3, groups), rectifier(),
            convolution(width, width, 3, groups), rectifier(), convolution(width, width, 1),
        )  # fmt: skip
        self.rectifier = nn.LeakyReLU(self.body[1].negative_slope)  # not in place: a sum needs it

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, h, w) to the same."""
        made: Tensor = self.rectifier(self.body(x) + x)
        return made


class Cascade(nn.Module):
    """Parts one after another; each sees a mixture of the sum of all that came before it.

    Args:
        parts: (N, width, h, w) to the same; one that occurs twice has one set of weights.
        width: features.
    """

    def __init__(self, parts: list[nn.Module], width: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(dict.fromkeys(parts))
        self.order = [list(self.parts).index(part) for part in parts]
        self.fusions = nn.ModuleList(convolution(width, width, 1) for _ in parts)

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, h, w) to the same."""
        total = mixed = x
        for place, fusion in zip(self.order, self.fusions, strict=True):
            total = total + self.parts[place](mixed)
            mixed = fusion(total)
        return mixed


class CARN(nn.Module):
    """2,492,298 parameters for ten bands and the factor 2 as 3x3x64g4sw.

    Args:
        bands_in, bands_out: channels of the images.
        factor: output pixels along one of the input.
        cascades: how many.
        blocks: in each cascade.
        features: for each output pixel; a layer has factor² times as many.
        groups: of the grouped convolutions.
        shared: whether the blocks of a cascade have the same weights.
    """

    def __init__(
        self, bands_in: int, bands_out: int, factor: int, *, cascades: int, blocks: int,
        features: int, groups: int, shared: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        width = features * factor**2
        # Mirrored: two convolutions in each block, one before and one behind them all.
        low = 2 * cascades * blocks + 2
        self.reach = add_reaches([(low, 1), (1, factor)], factor)

        def cascade() -> Cascade:
            one = Block(width, groups)
            rest = (one if shared else Block(width, groups) for _ in range(blocks - 1))
            return Cascade([one, *rest], width)

        self.first = convolution(bands_in, width)
        self.body = Cascade([cascade() for _ in range(cascades)], width)
        self.before = convolution(width, width)
        self.shuffle = nn.PixelShuffle(factor)
        self.last = convolution(features, bands_out)

    def forward(self, x: Tensor) -> Tensor:
        """(N, bands_in, h, w) to (N, bands_out, factor * h, factor * w)."""
        made: Tensor = self.last(self.shuffle(self.before(self.body(self.first(x)))))
        return made
