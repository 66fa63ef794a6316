"""Five small networks by name, for pictures of any size; layers of torch with its first weights.

They were made for pictures of 64 pixels (EuroSAT); no convolution has a stride. The last layer is
called ``fc`` in all of them, and convolutions are named in order.
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

SIZE = 64  # pixels a side that they were made for
CELLS = 4  # a side of what is left of a picture before the linear layers
Parts = dict[str, nn.Module]


class Student(nn.Sequential):
    """Layers in order and a linear head, with what timm's networks say of themselves.

    Args:
        parts: (N, C, S, S) to (N, width), by name.
        width: features before the head.
        classes: K outputs; 0 leaves the features.

    Attributes:
        num_features: width.
        pretrained_cfg: name of the head, and of the convolution that takes all bands, if one does.
    """

    def __init__(self, parts: Parts, width: int, classes: int) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.fc = nn.Linear(width, classes) if classes else nn.Identity()
        self.num_features = width
        first = "conv1" if "conv1" in parts else None
        self.pretrained_cfg = {"classifier": "fc", "first_conv": first}


class DepthwiseSkip(Student):
    """A student whose second convolution has a shortcut beside it, added after the activation."""

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, S, S) to (N, K) logits."""
        values = stem = images
        for name, part in self.named_children():
            values = values + part(stem) if name == "shortcut" else part(values)
            stem = values if name == "relu1" else stem
        return values


class ResidualBlock(nn.Module):
    """Two convolutions whose result is added to what they were given: (N, width, S, S) to same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_normalised(width, width, 1).values(), *_normalised(width, width, 2).values()
        )[:-1]  # the second activation comes after the sum

    def forward(self, values: Tensor) -> Tensor:
        """Activated sum."""
        return functional.relu(self.layers(values) + values)


class AdaptivePool(nn.Module):
    """Means of 4 x 4 cells as torch's adaptive average, in what exporters and compilers take.

    Cell i of a side of S goes from floor(i S / 4) to ceil((i + 1) S / 4). These windows are evenly
    spaced but where S = 4 q + 2; there, those of each half are.

    Args:
        side: S of the maps, at least 4.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, S, S) to (N, C, 4, 4)."""
        least, rest = divmod(self.side, CELLS)
        if rest == 2:
            return self._of_quarters(maps)
        if rest == 3:  # the outer windows are one shorter, as if they reached beyond the edge
            return functional.avg_pool2d(
                maps, least + 2, least + 1, padding=1, count_include_pad=False
            )
        return functional.avg_pool2d(maps, least + rest, least)

    def _of_quarters(self, maps: Tensor) -> Tensor:
        """Put in place by zeros and sums, as Metis joins maps along channels only."""
        half = self.side // 2
        total: Tensor | None = None
        for top in (0, 1):
            for left in (0, 1):
                quarter = maps[:, :, top * half :, left * half :][:, :, :half, :half]
                means = functional.avg_pool2d(quarter, half // 2 + 1, half // 2)
                placed = functional.pad(means, (2 * left, 2 - 2 * left, 2 * top, 2 - 2 * top))
                total = placed if total is None else total + placed
        assert total is not None
        return total


def _plain(before: int, after: int, number: int) -> Parts:
    """A 3 x 3 convolution with bias, activated."""
    convolution = nn.Conv2d(before, after, 3, padding=1)
    return {f"conv{number}": convolution, f"relu{number}": nn.ReLU()}


def _normalised(before: int, after: int, number: int) -> Parts:
    """A 3 x 3 convolution, batch norm, activated."""
    return {
        f"conv{number}": nn.Conv2d(before, after, 3, padding=1, bias=False),
        f"norm{number}": nn.BatchNorm2d(after), f"relu{number}": nn.ReLU(),
    }  # fmt: skip


def _separable(channels: int) -> Parts:
    """A 3 x 3 convolution of each band by itself, then 1 x 1 over all to 32, normalised."""
    return {
        "depthwise": nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        "pointwise": nn.Conv2d(channels, 32, 1, bias=False),
        "norm1": nn.BatchNorm2d(32), "relu1": nn.ReLU(),
    }  # fmt: skip


def _hidden(before: int, after: int, dropout: float) -> Parts:
    """(N, …) to (N, after), activated, with dropout."""
    return {
        "flatten": nn.Flatten(), "hidden": nn.Linear(before, after), "relu3": nn.ReLU(),
        "dropout": nn.Dropout(dropout),
    }  # fmt: skip


def _simple_net(channels: int, classes: int, size: int) -> Student:
    parts = _plain(channels, 16, 1) | _plain(16, 32, 2) | {"flatten": nn.Flatten()}
    return Student(parts, 32 * size**2, classes)


def _student_resnet(channels: int, classes: int, _size: int) -> Student:
    halve = _normalised(channels, 32, 1) | _normalised(32, 64, 2) | {"pool1": nn.MaxPool2d(2)}
    again = {"residual_block": ResidualBlock(64), **_normalised(64, 128, 3)}
    end = {"pool2": nn.MaxPool2d(2), "average": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    return Student(halve | again | end, 128, classes)


def _student_separable(channels: int, classes: int, size: int) -> Student:
    parts = _separable(channels) | _normalised(32, 64, 2)
    pools = {"pool": nn.MaxPool2d(2), "average": AdaptivePool(size // 2)}
    return Student(parts | pools | _hidden(64 * CELLS**2, 128, 0.3), 128, classes)


def _student_depthwise_skip(channels: int, classes: int, size: int) -> Student:
    parts = _separable(channels) | _normalised(32, 64, 2)
    joined = {"shortcut": nn.Conv2d(32, 64, 1, bias=False), "average": AdaptivePool(size)}
    return DepthwiseSkip(parts | joined | _hidden(64 * CELLS**2, 128, 0.3), 128, classes)


def _student_light(channels: int, classes: int, size: int) -> Student:
    parts = _plain(channels, 16, 1) | _plain(16, 32, 2) | _hidden(32 * size**2, 64, 0.4)
    return Student(parts, 64, classes)


BUILDERS: dict[str, Callable[[int, int, int], Student]] = {
    "simple-net": _simple_net,
    "student-resnet": _student_resnet,
    "student-separable": _student_separable,
    "student-depthwise-skip": _student_depthwise_skip,
    "student-light": _student_light,
}


def build(name: str, channels: int, classes: int, size: int) -> Student:
    """One of `BUILDERS`, with fresh weights.

    Args:
        name: of it.
        channels: input channels.
        classes: K outputs; 0 gives (N, num_features) features instead of logits.
        size: pixels per side of the pictures that it will see, 16 or more.
    """
    return BUILDERS[name](channels, classes, size)
