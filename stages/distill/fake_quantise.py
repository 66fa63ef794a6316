"""Fine-tuning with fake INT8: the network learns with the rounding that the accelerator will do.

The Voyager SDK quantises after training and names its schemes ``per_tensor_histogram`` (default),
``per_tensor_min_max`` and ``hybrid_per_tensor_per_channel``; more is not known of them. Taken here:
symmetric grids of -127 … 127 steps; one range for each tensor that enters a convolution or linear
layer; for weights one range a tensor, or one an output channel. Rounding passes gradients straight
through inside the range and stops them outside (Jacob et al. 2018, "Quantization and training of
neural networks for efficient integer-arithmetic-only inference").
"""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from shared.errors import StageError

STEPS = 127  # of a symmetric INT8 grid, on either side of zero
PACE = 0.1  # share of a new batch in the running range of an activation
LEAST = 1e-8  # range of a tensor of zeros


def fake_round(values: Tensor, limit: Tensor) -> Tensor:
    """Values on a grid of 2 · 127 + 1 points from -limit to limit; values outside are cut.

    Args:
        values: any shape; for a limit a channel, (O, …).
        limit: () or (O,), positive.
    """
    scale = (limit.detach().float() / STEPS).clamp_min(LEAST)
    if not limit.ndim:
        zero = torch.zeros((), dtype=torch.int32, device=values.device)
        return torch.fake_quantize_per_tensor_affine(values.float(), scale, zero, -STEPS, STEPS)
    zeros = torch.zeros(len(scale), dtype=torch.int32, device=values.device)
    return torch.fake_quantize_per_channel_affine(values, scale, zeros, 0, -STEPS, STEPS)


class Activation(nn.Module):
    """Rounds what enters a layer; in training mode its range follows the batches."""

    limit: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("limit", torch.zeros(()))

    def forward(self, values: Tensor) -> Tensor:
        """The values on their grid."""
        if self.training:
            largest = values.detach().abs().max().float()
            self.limit += (largest - self.limit) * torch.where(self.limit > 0, PACE, 1.0)
        return fake_round(values, self.limit)


class FakeQuantised(nn.Module):
    """A network that computes as an INT8 accelerator would, and can be trained so.

    Its batch norms are folded into the convolutions before them and frozen: their shifts learn on.

    Args:
        network: plain; a copy of it is used.
        example: (N, C, S, S) pictures, to see which batch norm follows which convolution.
        per_channel: whether weights have one range an output channel instead of one a tensor.
    """

    def __init__(self, network: nn.Module, example: Tensor, per_channel: bool = False) -> None:
        super().__init__()
        self.network = fold_batch_norms(copy.deepcopy(network), example)
        self.per_channel, self.ranges = per_channel, nn.ModuleList()
        for layer in _layers(self.network).values():
            self.ranges.append(Activation())
            layer.register_forward_pre_hook(lambda _, given, r=self.ranges[-1]: r(given[0]))

    def weights(self) -> dict[str, Tensor]:
        """Rounded weights of convolutions and linear layers by name; each range is their own."""
        layers = _layers(self.network)
        return {
            f"{name}.weight": fake_round(layer.weight, weight_range(layer.weight, self.per_channel))
            for name, layer in layers.items()
        }

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
        self.ranges.train()
        with torch.no_grad():
            for images in batches:
                self(images)
        return self.eval()

    def plain(self) -> nn.Module:
        """The FP32 network: weights as they were rounded, nothing else left of this module."""
        network = copy.deepcopy(self.network).cpu().eval()
        for layer in _layers(network).values():
            layer._forward_pre_hooks.clear()
        network.load_state_dict(network.state_dict() | self.weights())
        return network


def weight_range(weight: Tensor, per_channel: bool) -> Tensor:
    """() largest magnitude of a weight, or (O,) one an output channel."""
    size = weight.detach().abs()
    return size.flatten(1).amax(1) if per_channel else size.max()


def _layers(network: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    return {name: m for name, m in network.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))}


def fold_batch_norms(network: nn.Module, example: Tensor) -> nn.Module:
    """Move the scales of batch norms into the convolutions before them, in place.

    What is left of such a batch norm is its shift, so that names and shapes stay as they were.

    Raises:
        StageError: the network says something else after that.
    """
    network.eval()
    with torch.no_grad():
        before = network(example)
        for layer, norm in _convolutions_before_norms(network, example):
            gain = norm.weight / (norm.running_var + norm.eps).sqrt()
            layer.weight.mul_(gain.view(-1, 1, 1, 1))
            if layer.bias is not None:
                layer.bias.mul_(gain)
            norm.bias.sub_(norm.running_mean * gain)
            norm.weight.fill_(1).requires_grad_(False)
            norm.running_mean.zero_()
            norm.running_var.fill_(1 - norm.eps)
        after = network(example)
    if not torch.allclose(before, after, rtol=1e-3, atol=1e-3 * float(before.abs().max())):
        raise StageError("--qat: the batch norms of this architecture cannot be folded")
    return network


def _convolutions_before_norms(
    network: nn.Module, example: Tensor
) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions and the batch norms that take their output as it is."""
    made: list[tuple[nn.Conv2d, Tensor]] = []
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def after(layer: nn.Conv2d, _: object, output: Tensor) -> None:
        made.append((layer, output))

    def before(norm: nn.BatchNorm2d, given: tuple[Tensor, ...]) -> None:
        pairs.extend((layer, norm) for layer, output in made if output is given[0])

    hooks = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(after))
        elif isinstance(module, nn.BatchNorm2d) and module.affine and module.track_running_stats:
            hooks.append(module.register_forward_pre_hook(before))
    network(example)
    for hook in hooks:
        hook.remove()
    return pairs
