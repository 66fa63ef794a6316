"""Fine-tuning with fake INT8: the network learns with the rounding that the accelerator will do.

By the schemes that the Voyager SDK documents (`shared.int8`): weights on symmetric grids of -127 …
127 steps, one range an output channel; what enters a convolution or linear layer on 256 levels, one
range a tensor, or one a channel for depthwise convolutions in the hybrid scheme. The ranges of the
activations are found in the float network, as export finds them, and then kept; those of weights
follow the weights. Rounding passes gradients straight through inside the range and stops them
outside (Jacob et al. 2018, "Quantization and training of neural networks for efficient
integer-arithmetic-only inference").
"""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from shared import int8
from shared.int8 import Scheme, TensorObserver
from stages.distill import batch_norms

STEPS = 127  # of a symmetric INT8 grid, on either side of zero
LEVELS = 255  # of an activation, from 0
LEAST = 1e-8  # range of a channel of zeros


def round_weight(weight: Tensor) -> Tensor:
    """(O, …) weights on grids of 2 · 127 + 1 points, one an output channel, by its own range."""
    scale = weight.detach().abs().flatten(1).amax(1).float() / STEPS
    zeros = torch.zeros(len(scale), dtype=torch.int32, device=weight.device)
    given = weight.float(), scale.clamp_min(LEAST), zeros, 0, -STEPS, STEPS
    return torch.fake_quantize_per_channel_affine(*given)


class Activation(nn.Module):
    """Rounds what enters a layer to 256 levels; before `settle` it only looks.

    Args:
        scheme: how the range is chosen.
        channels: of the input of a depthwise convolution, else 0.
    """

    scale: Tensor
    zero: Tensor

    def __init__(self, scheme: Scheme, channels: int) -> None:
        super().__init__()
        self.scheme = scheme
        self.observer: TensorObserver | None = TensorObserver(depthwise=channels > 0)
        shape = (channels,) if channels and scheme == int8.HYBRID else ()
        self.register_buffer("scale", torch.ones(shape))
        self.register_buffer("zero", torch.zeros(shape, dtype=torch.int32))

    def settle(self) -> None:
        """Take the range of what was seen, and round from now on."""
        assert self.observer is not None
        scale, zero = self.observer.choose(self.scheme).grid()
        self.scale.copy_(torch.from_numpy(scale))
        self.zero.copy_(torch.from_numpy(zero.astype("int32")))
        self.observer = None

    def forward(self, values: Tensor) -> Tensor:
        """The values on their grid; as they are before `settle`."""
        if self.observer is not None:
            self.observer.observe(values.detach().float().cpu().numpy())
            return values
        given, ends = values.float(), (0, LEVELS)
        if self.scale.ndim:
            return torch.fake_quantize_per_channel_affine(given, self.scale, self.zero, 1, *ends)
        return torch.fake_quantize_per_tensor_affine(given, self.scale, self.zero, *ends)


class FakeQuantised(nn.Module):
    """A network that computes as an INT8 accelerator would, and can be trained so.

    Its batch norms are folded into the convolutions before them and frozen: their shifts learn on.

    Args:
        network: plain; a copy of it is used.
        example: (N, C, S, S) pictures, to see which batch norm follows which convolution.
        scheme: how the ranges of activations are chosen.
    """

    def __init__(
        self, network: nn.Module, example: Tensor, scheme: Scheme = int8.HISTOGRAM
    ) -> None:
        super().__init__()
        self.network = batch_norms.fold(copy.deepcopy(network), example)
        self.ranges = nn.ModuleList()
        for layer in _layers(self.network).values():
            self.ranges.append(Activation(scheme, _depthwise_channels(layer)))
            layer.register_forward_pre_hook(lambda _, given, r=self.ranges[-1]: r(given[0]))

    def weights(self) -> dict[str, Tensor]:
        """Rounded weights of convolutions and linear layers by name; each range is their own."""
        layers = _layers(self.network)
        return {f"{name}.weight": round_weight(layer.weight) for name, layer in layers.items()}

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, S, S) to (N, K) logits."""
        logits: Tensor = functional_call(self.network, self.weights(), (images,))
        return logits

    def train(self, mode: bool = True) -> "FakeQuantised":
        """As any module, but batch norms stay frozen."""
        super().train(mode)
        for module in self.network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def calibrate(self, batches: Iterable[Tensor]) -> "FakeQuantised":
        """Set the ranges of the activations on (N, C, S, S) pictures; in evaluation mode after."""
        self.eval()
        with torch.no_grad():
            for images in batches:
                self.network(images)
        for activation in self.ranges:
            assert isinstance(activation, Activation)
            activation.settle()
        return self

    def plain(self) -> nn.Module:
        """The FP32 network: weights as they were rounded, nothing else left of this module."""
        network = copy.deepcopy(self.network).cpu().eval()
        for layer in _layers(network).values():
            layer._forward_pre_hooks.clear()
        network.load_state_dict(network.state_dict() | self.weights())
        return network


def _depthwise_channels(layer: nn.Conv2d | nn.Linear) -> int:
    """Channels of a depthwise convolution, 0 for all other layers."""
    if isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1:
        return layer.in_channels
    return 0


def _layers(network: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    return {name: m for name, m in network.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))}
