"""ResNet v2 of Keras' CIFAR example, put together from the tensors of a file.

A stem; stages of bottleneck blocks (1 x 1, 3 x 3, 1 x 1), each convolution preceded by batch norm
and ReLU except the very first one behind the stem; a linear 1 x 1 projection beside the first block
of a stage; batch norm, ReLU, mean over the map, a dense layer. The first convolution of every stage
but the first has stride 2. He et al. 2016, "Identity mappings in deep residual networks".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.keras_files.configuration import Settings, read_settings
from shared.keras_files.layers import Layer, Layers, read_layers

Values = NDArray[np.float32]
MAP = 8  # pixels per side of the last map, over which the example averages
FAMILY = "the ResNet v2 of Keras' CIFAR example is read, and no other network"


@dataclass(frozen=True)
class Convolution:
    """Kernel (h, w, inputs, outputs), bias (outputs,); "same" padding."""

    name: str
    kernel: Values
    bias: Values
    stride: int = 1


@dataclass(frozen=True)
class Norm:
    """Batch norm by its moving statistics, (C,) each."""

    name: str
    gamma: Values
    beta: Values
    mean: Values
    variance: Values
    epsilon: float


@dataclass(frozen=True)
class Block:
    """Three convolutions, what normalises the input of each, and the projection of the input."""

    norms: tuple[Norm | None, Norm, Norm]
    convolutions: tuple[Convolution, Convolution, Convolution]
    projection: Convolution | None


@dataclass(frozen=True)
class Network:
    """A whole classifier.

    Attributes:
        stem: first convolution; stem_norm: behind it.
        blocks: in order.
        last_norm: behind the last block.
        kernel: (features, K) of the dense layer; bias: (K,).
        size: pixels per side at the input.
    """

    stem: Convolution
    stem_norm: Norm
    blocks: tuple[Block, ...]
    last_norm: Norm
    kernel: Values
    bias: Values
    size: int

    @property
    def channels(self) -> int:
        """Bands at the input."""
        return int(self.stem.kernel.shape[2])

    @property
    def classes(self) -> int:
        """Number of outputs."""
        return len(self.bias)

    @property
    def architecture(self) -> str:
        """Its name, with the depth as its authors count it: "keras-resnet20-v2"."""
        return f"keras-resnet{3 * len(self.blocks) + 2}-v2"


def read(path: Path) -> Network:
    """The network of a file of weights, or of a whole model.

    Raises:
        StageError: as `layers.read_layers`; another network than those of the family.
    """
    layers = read_layers(path)
    settings = read_settings(path, layers.config)
    return _Builder(path, layers, settings).build()


class _Builder:
    """Takes layers in order of creation and checks each one against what must come next."""

    def __init__(self, path: Path, layers: Layers, settings: Settings) -> None:
        self.path, self.settings = path, settings
        self.convolutions = iter(layers.kinds["conv2d"])
        self.norms = iter(layers.kinds["batch_normalization"])
        self.dense, self.left = layers.kinds["dense"], len(layers.kinds["conv2d"])

    def build(self) -> Network:
        """The network; StageError for what does not fit, or is left."""
        channels = self.settings.channels
        stem = self._convolution((3, 3, channels, None))
        self.settings.check_stride(self.path, stem.name, stem.stride)
        width = stem.kernel.shape[3]
        stem_norm = self._norm(width)
        blocks = tuple(self._blocks(width))
        stages = sum(block.projection is not None for block in blocks)
        width = blocks[-1].convolutions[2].kernel.shape[3] if blocks else 0
        if not blocks or len(self.dense) != 1:
            found = f"{len(blocks)} blocks and {len(self.dense)} dense layers"
            raise self._refuse(f"expected blocks and one dense layer, found {found}")
        last_norm = self._norm(width)
        if (extra := next(self.norms, None)) is not None:
            raise self._refuse(f"{extra.name}: a layer more than expected")
        kernel, bias = (self.dense[0].tensors[name] for name in ("kernel", "bias"))
        if kernel.shape != (width, len(bias)) or bias.ndim != 1 or len(bias) < 2:
            found = f"{kernel.shape}, {bias.shape}"
            raise self._refuse(f"{self.dense[0].name}: expected ({width}, K), (K,), found {found}")
        size = self.settings.check_size(self.path, stages, MAP)
        return Network(
            stem=stem, stem_norm=stem_norm, blocks=blocks, last_norm=last_norm,
            kernel=kernel, bias=bias, size=size,
        )  # fmt: skip

    def _blocks(self, width: int) -> Iterator[Block]:
        first = True
        while self.left:
            norm = None if first else self._norm(width)
            start = self._convolution((1, 1, width, None))
            narrow = start.kernel.shape[3]
            norms = self._norm(narrow), self._norm(narrow)
            middle = self._convolution((3, 3, narrow, narrow))
            end = self._convolution((1, 1, narrow, None))
            wide, projection = end.kernel.shape[3], None
            if first or wide != width:  # the first block of a stage
                projection = self._convolution((1, 1, width, wide))
                stride = 1 if first else 2
                start = Convolution(start.name, start.kernel, start.bias, stride)
                projection = Convolution(
                    projection.name, projection.kernel, projection.bias, stride
                )
            for made in (start, middle, end, *([projection] if projection else [])):
                self.settings.check_stride(self.path, made.name, made.stride)
            yield Block((norm, *norms), (start, middle, end), projection)
            width, first = wide, False

    def _convolution(self, shape: tuple[int | None, ...]) -> Convolution:
        layer = self._next(self.convolutions, "convolution")
        self.left -= 1
        kernel = layer.tensors["kernel"]
        bias = layer.tensors.get("bias", np.zeros(kernel.shape[-1:], np.float32))
        fits = kernel.ndim == 4 and all(
            a in (None, b) for a, b in zip(shape, kernel.shape, strict=True)
        )
        if not fits or bias.shape != kernel.shape[3:]:
            expected = str(tuple(n or "n" for n in shape)).replace("'", "")
            raise self._refuse(f"{layer.name}: expected kernel {expected}, found {kernel.shape}")
        return Convolution(layer.name, kernel, bias)

    def _norm(self, width: int) -> Norm:
        layer = self._next(self.norms, "batch norm")
        tensors = layer.tensors
        shapes = {values.shape for values in tensors.values()}
        if shapes != {(width,)}:
            raise self._refuse(f"{layer.name}: expected ({width},), found {sorted(shapes)[0]}")
        if (tensors["moving_variance"] < 0).any():
            raise self._refuse(f"{layer.name}: a negative variance")
        epsilon = self.settings.epsilon(layer.name)
        return Norm(
            layer.name, tensors["gamma"], tensors["beta"], tensors["moving_mean"],
            tensors["moving_variance"], epsilon,
        )  # fmt: skip

    def _next(self, layers: Iterator[Layer], what: str) -> Layer:
        if (layer := next(layers, None)) is None:
            raise self._refuse(f"expected one more {what}, found none")
        return layer

    def _refuse(self, what: str) -> StageError:
        return StageError(f"{self.path}: {what}; {FAMILY}")
