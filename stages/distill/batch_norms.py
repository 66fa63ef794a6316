"""Batch norms into the convolutions before them, as export folds them."""

import torch
from torch import Tensor, nn

from shared.errors import StageError


def fold(network: nn.Module, example: Tensor) -> nn.Module:
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
