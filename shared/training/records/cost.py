"""How large a network is: parameters, and multiplications and additions for one row."""

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def count_cost(network: nn.Module, inputs: dict[str, Tensor]) -> tuple[int, int]:
    """Parameters of a network and its MACs for one row.

    A MAC is one multiplication with its addition; those of convolutions and matrix products are
    counted, as papers do, not those of normalisations, activations and pooling. Counted on the
    device of the network; the modes of its layers are left as they were.

    Args:
        network: trained or not.
        inputs: example batch by input name, in the order of the network's arguments, (N, …) with
            any N; only the first row is used.

    Returns:
        Numbers of all parameters (not of buffers, such as the means of batch norms), and MACs.
        What only calls another runtime says both itself, as its attribute ``cost``.
    """
    if said := getattr(network, "cost", None):
        return int(said[0]), int(said[1])
    place = next(network.parameters(), torch.empty(0)).device
    row = [tensor[:1].to(place) for tensor in inputs.values()]
    modes = [(part, part.training) for part in network.modules()]
    counter = FlopCounterMode(display=False)
    network.eval()  # batch norm takes one row only so
    try:
        with torch.no_grad(), counter:
            network(*row)
    finally:
        for part, training in modes:
            part.training = training
    return sum(weights.numel() for weights in network.parameters()), counter.get_total_flops() // 2
