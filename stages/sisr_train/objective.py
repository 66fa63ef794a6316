"""What the network learns from, in deviations of the bands."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from stages.sisr_train.prepared import Batch


@dataclass(frozen=True)
class Scale:
    """Reflectance to what the network sees, and back.

    Attributes:
        mean: (C,) of the bands that go in and come out.
        std: (C,), above 0.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def standardise(self, images: Tensor) -> Tensor:
        """(N, C', H, W) reflectance of the first C' bands: less the mean, in deviations."""
        mean, std = self._shape(images)
        return (images - mean) / std

    def restore(self, images: Tensor) -> Tensor:
        """The inverse of `standardise`."""
        mean, std = self._shape(images)
        return images * std + mean

    def _shape(self, images: Tensor) -> tuple[Tensor, Tensor]:
        bands = images.shape[1]
        mean, std = (images.new_tensor(of[:bands]).view(1, -1, 1, 1) for of in vars(self).values())
        return mean, std


@dataclass(frozen=True)
class Objective:
    """The loss of a batch, in deviations of the bands.

    Attributes:
        border: output pixels at each side that do not count.
        wald: weight of the bands without a reference.
    """

    border: int
    wald: float = 1.0

    def measure(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Smooth L1 of the bands with a reference, plus that of the others by Wald's protocol.

        Each of the two is a mean over its bands.

        Args:
            network: (N, C, h, w) to (N, C, f·h, f·w).
            batch: standardised `input`, `target` of the first bands, and where the others count
                `coarser`, the input of pixels f times as large.

        Returns:
            () the loss; (N, C', f·h, f·w) what the network made of the bands with a reference.
        """
        bands = batch["target"].shape[1]
        made = network(batch["input"])[:, :bands]
        loss = self._compare(made, batch["target"])
        if "coarser" in batch:
            restored = network(batch["coarser"])[:, bands:]
            loss = loss + self.wald * self._compare(restored, batch["input"][:, bands:])
        return loss, made

    def _compare(self, made: Tensor, wanted: Tensor) -> Tensor:
        ours, theirs = (cut_border(images.float(), self.border) for images in (made, wanted))
        return functional.smooth_l1_loss(ours, theirs)


def cut_border(images: Tensor, border: int) -> Tensor:
    """(N, C, H, W) without this many pixels at each side."""
    high, wide = images.shape[-2:]
    return images[..., border : high - border, border : wide - border]
