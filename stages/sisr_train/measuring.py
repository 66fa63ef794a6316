"""How far a network and the bicubic enlargement are from the images that they should make."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import nn

from shared.sisr import fidelity
from shared.sisr_networks import layers
from shared.training.parallel import distributed
from stages.sisr_train.objective import Scale, cut_border
from stages.sisr_train.prepared import Prepared

MAKERS = ("network", "bicubic")
WANTED = ("target", "truth")
AT_ONCE = 2**19  # output pixels that are made together


@dataclass(frozen=True)
class Errors:
    """Of some rows.

    Attributes:
        rows: how many.
        squared: "target" and maybe "truth" to "network" and "bicubic" to (C',) mean squared errors
            of reflectance.
    """

    rows: int
    squared: dict[str, dict[str, NDArray[np.float64]]]

    def psnr(self, wanted: str = "target", maker: str = "network") -> float:
        """Mean over the bands in decibels."""
        return float(to_psnr(self.squared[wanted][maker]).mean())

    def describe(self, names: tuple[str, ...]) -> dict[str, Any]:
        """PSNR and RMSE per band and their means, for metrics.json."""
        told: dict[str, Any] = {"rows": self.rows}
        for wanted, makers in self.squared.items():
            told[wanted] = {maker: _describe(squared, names) for maker, squared in makers.items()}
        return told


def _describe(squared: NDArray[np.float64], names: tuple[str, ...]) -> dict[str, Any]:
    psnr, rmse = to_psnr(squared), np.sqrt(squared)
    bands = {
        name: {"PSNR": round(float(high), 4), "RMSE": round(float(root), 7)}
        for name, high, root in zip(names, psnr, rmse, strict=False)
    }
    means = {"PSNR": round(float(psnr.mean()), 4), "RMSE": round(float(rmse.mean()), 7)}
    return {**means, "per_band": bands}


def to_psnr(squared: NDArray[np.float64]) -> NDArray[np.float64]:
    """Decibels of mean squared errors of reflectance, whose peak is 1; at most `fidelity.BEST`."""
    least = 10 ** (-fidelity.BEST / 10)
    made: NDArray[np.float64] = -10 * np.log10(np.maximum(squared, least))
    return made


@torch.inference_mode()
def measure(network: Any, rows: Prepared, scale: Scale, border: int, fabric: Fabric) -> Errors:
    """Compare whole rows, shared by all processes, in full single precision on every device.

    Args:
        network: an `Enlarger` for standardised bands.
        rows: with `target`, and `truth` where it is known.
        scale: of the bands.
        border: output pixels at each side that do not count.
        fabric: where.
    """
    device, training = fabric.device, network.training
    network.to(device).eval()
    wanted = [name for name in WANTED if name in rows.names]
    own = np.arange(fabric.global_rank, len(rows), fabric.world_size)
    cubic = layers.Cubic(network.factor, len(scale.mean)).to(device)
    with distributed.without_tf32():
        parts = [
            _add_up((network, cubic), rows, some, (scale, border), device)
            for some in np.array_split(own, max(1, -(-len(own) // _count_at_once(rows))))
        ]
    network.train(training)
    sums = torch.stack(parts).sum(0)
    if fabric.world_size > 1:
        sums = fabric.all_reduce(sums, reduce_op="sum")
    squared = sums.cpu().numpy() / len(rows)
    shape = {name: rows.get(own[:1], [name])[name].shape[1] for name in wanted}
    return Errors(
        len(rows),
        {
            name: {m: squared[i, j, : shape[name]] for j, m in enumerate(MAKERS)}
            for i, name in enumerate(wanted)
        },
    )


def _count_at_once(rows: Prepared) -> int:
    *_, high, wide = rows.get(np.array([0]), ["target"])["target"].shape
    return max(1, AT_ONCE // (high * wide))


def _add_up(
    makers: tuple[nn.Module, nn.Module], rows: Prepared, some: NDArray[np.intp],
    how: tuple[Scale, int], device: torch.device,
) -> torch.Tensor:  # fmt: skip
    """(2, 2, C) sums over some rows of mean squared errors: wanted, maker, band."""
    scale, border = how
    sums = torch.zeros((len(WANTED), len(MAKERS), len(scale.mean)), dtype=torch.float64)
    if not len(some):
        return sums.to(device)
    batch = {name: images.to(device) for name, images in rows.get(some).items()}
    seen = scale.standardise(batch["input"])
    made = [scale.restore(maker(seen).float()) for maker in makers]
    for i, name in enumerate(name for name in WANTED if name in batch):
        ideal = cut_border(batch[name].double(), border)
        for j, images in enumerate(made):
            bands = ideal.shape[1]
            apart = cut_border(images[:, :bands].double(), border) - ideal
            sums[i, j, :bands] = apart.square().mean((2, 3)).sum(0).cpu()
    return sums.to(device)
