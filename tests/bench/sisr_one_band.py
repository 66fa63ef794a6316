"""A network of sr-train, which takes one band at a time, as a folder that sisr-eval reads.

    .venvs/sisr_train/bin/python -m tests.bench.sisr_one_band --weights FILE --like OTHER --dst DST

The network is EDSR, and every band of a patch goes through it stretched by its own range, as
sr-edsr does. Bands, pixels and factor are those of OTHER, a folder of sisr-train.
"""

import argparse
import dataclasses
from pathlib import Path

import torch
from torch import Tensor, nn

from shared.sisr import cards
from shared.sr.networks import edsr
from stages.sisr_train import export
from stages.sisr_train.objective import Scale


class EachBand(nn.Module):
    """(N, C, h, w) to (N, C, f·h, f·w) reflectance, by a network of one channel in 0 … 1."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """As `shared.sr.bands` does it: a band without contrast stays as it is."""
        low = x.amin((2, 3), keepdim=True)
        span = x.amax((2, 3), keepdim=True) - low
        seen = torch.where(span == 0, 0.5, (x - low) / torch.where(span == 0, 1.0, span))
        made = self.network(seen.flatten(0, 1).unsqueeze(1))
        return made.reshape(x.shape[0], x.shape[1], *made.shape[2:]) * span + low


def main() -> None:
    """Load, export, write the card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--like", type=Path, required=True)
    parser.add_argument("--dst", type=Path, required=True)
    given = parser.parse_args()
    card = cards.read(given.like)
    network = EachBand(edsr.load(given.weights, card.factor, "first"))
    count = len(card.bands)
    given.dst.mkdir(parents=True, exist_ok=True)
    plain = Scale((0.0,) * count, (1.0,) * count)
    export.export_network(network, plain, given.dst / cards.ONNX)
    # What it makes of a patch depends on the range of the whole patch: no margin says how far.
    own = dataclasses.replace(
        card, architecture=given.dst.name, margin=0, mean=plain.mean, std=plain.std
    )
    cards.write(given.dst, own)


if __name__ == "__main__":
    main()
