"""The fusion network: CNN features and an MLP on topological features; or that MLP alone."""

from pathlib import Path

import torch
from torch import Tensor, nn

from shared.training import networks, students

WIDTHS = (1024, 512, 256, 128)  # of the topological branch


def _layer(inputs: int, outputs: int, dropout: float) -> list[nn.Module]:
    return [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(), nn.Dropout(dropout)]


def _branch(features: int) -> nn.Sequential:
    """(N, F) z-scored features to (N, 128)."""
    sizes = (features, *WIDTHS)
    steps = zip(sizes, sizes[1:], (0.25, 0.5, 0.5, 0.5), strict=False)
    return nn.Sequential(*[part for step in steps for part in _layer(*step)])


class FusionNetwork(nn.Module):
    """Image (N, C, S, S) and raw topological features (N, F) to logits (N, K).

    Features are z-scored inside the network, with the training split's statistics.

    Args:
        architecture: name of the image branch, of timm or `students`.
        channels: C.
        classes: K.
        statistics: (2, F) mean and standard deviation per feature, None without the TDA branch.
        weights: state dict of the image branch, if any.
        size: S.
    """

    def __init__(
        self,
        architecture: str,
        channels: int,
        classes: int,
        statistics: Tensor | None,
        weights: Path | None = None,
        size: int = students.SIZE,
    ) -> None:
        super().__init__()
        self.backbone = networks.build(architecture, channels, 0, weights, size)
        # Some networks have a layer between their last features and the head that is not used.
        width = int(getattr(self.backbone, "head_hidden_size", self.backbone.num_features))
        self.image_dropout = nn.Dropout(0.25)
        self.topology: nn.Module | None = None
        if statistics is not None:
            self.register_buffer("mean", statistics[0])
            self.register_buffer("std", statistics[1])
            self.topology = _branch(statistics.shape[1])
        joined = width + (WIDTHS[-1] if self.topology else 0)
        hidden = 128 if width <= 512 else 256
        self.head = nn.Sequential(
            nn.LayerNorm(joined), nn.Dropout(0.5), *_layer(joined, hidden, 0.5),
            nn.Linear(hidden, classes),
        )  # fmt: skip

    def forward(self, image: Tensor, tda: Tensor | None = None) -> Tensor:
        """(N, K) logits."""
        features = self.image_dropout(self.backbone(image))
        if self.topology is not None:
            assert tda is not None
            topology = self.topology((tda - self.mean) / self.std)
            features = torch.cat([features, topology], 1)
        return self.head(features)


class TopologyNetwork(nn.Module):
    """Topological features (N, F) alone to logits (N, K), z-scored inside as in `FusionNetwork`.

    Args:
        classes: K.
        statistics: (2, F) mean and standard deviation per feature.
    """

    def __init__(self, classes: int, statistics: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", statistics[0])
        self.register_buffer("std", statistics[1])
        self.topology = _branch(statistics.shape[1])
        self.head = nn.Linear(WIDTHS[-1], classes)

    def forward(self, tda: Tensor) -> Tensor:
        """(N, K) logits."""
        return self.head(self.topology((tda - self.mean) / self.std))
