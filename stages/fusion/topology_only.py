"""The ablation without image branch: members that see topological features and nothing else."""

from torch import Tensor, nn

from shared import models, patches
from shared.training.data import Batch, mix
from stages.fusion import topology_features
from stages.fusion.file_variants import Variants

ARCHITECTURE = "tda-mlp"


class FeatureView(nn.Module):
    """What such a member sees of a batch: the features (B, F) as float32, the same in training.

    Args:
        key: their name in the batch.
    """

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key

    def forward(self, batch: Batch) -> Tensor:
        """(B, F) features."""
        return mix(batch[self.key].float(), batch)


def build_cards(train: Variants, numbers: range) -> list[models.Card]:
    """The card of each member: features of its variant, whose bands the card names.

    Nothing is subtracted or divided before the network, and there is no picture to be resized.
    """
    with patches.read(train.images[0], "label") as source:
        classes = source.classes
    cards: list[models.Card] = []
    for number in numbers:
        path = train.features[number % len(train.features)]
        bands = tuple(topology_features.read_grid(path).get("bands") or ("tda",))
        mean, std = (0.0,) * len(bands), (1.0,) * len(bands)
        cards.append(
            models.Card(
                file=f"member-{number + 1:02}.onnx", architecture=ARCHITECTURE, bands=bands,
                mean=mean, std=std, size=1, interpolation="nearest", classes=classes,
                features=topology_features.count_features(train.features[0]),
            )
        )  # fmt: skip
    return cards
