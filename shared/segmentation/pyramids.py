"""Feature pyramids: backbones that give maps at several strides, and a head on one fused level."""

from collections import OrderedDict
from typing import Literal

import torchvision
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import FeaturePyramidNetwork

Level = Literal["finest", "coarsest"]
Taps = Literal["stages", "mergings"]
STRIDE = 32  # of the coarsest map of all pyramids


class Segmenter(nn.Module):
    """A network that takes pictures of any size: padded to whole strides inside, and cropped again.

    Attributes:
        backbone: what may have learned from other pictures before.
        frozen: its first groups that do not learn; they are always in evaluation mode, as dropped
            paths and moving means would change what they say.
        enlarges: whether what `compute` gives is to be enlarged to the size of the picture.
    """

    backbone: nn.Module
    enlarges = True

    def __init__(self) -> None:
        super().__init__()
        self.frozen: list[nn.Module] = []

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) normalised pictures to (N, K, H, W) logits; any H and W."""
        high, wide = images.shape[-2:]
        padding = (0, -wide % STRIDE, 0, -high % STRIDE)
        padded = functional.pad(images, padding, mode="replicate")
        logits = self.compute(padded)
        if self.enlarges:
            size = padded.shape[-2:]
            logits = functional.interpolate(logits, size, mode="bilinear", align_corners=False)
        return logits[..., :high, :wide]

    def compute(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) of whole strides to (N, K, h, w) logits; h and w may be smaller."""
        raise NotImplementedError

    def groups(self) -> list[nn.Module]:
        """Parts of the backbone from the picture on, for `freeze`."""
        return [part for part in self.backbone.children() if any(True for _ in part.parameters())]

    def freeze(self, count: int) -> None:
        """Let the first groups of the backbone learn nothing.

        Args:
            count: groups, 0 to all of them.
        """
        self.frozen = self.groups()[:count]
        for group in self.frozen:
            group.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Segmenter":
        """As any module, but frozen groups stay in evaluation mode."""
        super().train(mode)
        for group in self.frozen:
            group.eval()
        return self


class SwinMaps(nn.Module):
    """A Swin backbone of torchvision under its names, giving four maps at strides 4 to 32.

    Args:
        name: of it, such as swin_v2_b.
        taps: stages (what each of the four stages says) or mergings (what enters each of them, as
            published: the bare convolution of patches, then the merged patches; the last stage is
            left out).
    """

    def __init__(self, name: str, taps: Taps) -> None:
        super().__init__()
        whole = torchvision.models.get_model(name, weights=None)
        self.features: nn.Sequential = whole.features
        if taps == "mergings":
            del self.features[7]
        self.first = 0 if taps == "mergings" else 1
        width = self.features[0][0].out_channels
        self.widths = [width * factor for factor in (1, 2, 4, 8)]

    def forward(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) to maps (N, C, H / 4, W / 4), then half as large each."""
        patches = self.features[0][0](images)
        values = self.features[0][2](self.features[0][1](patches))
        maps = [patches] if self.first == 0 else []
        for number, part in enumerate(self.features[1:], 1):
            values = part(values)
            if number % 2 == self.first:
                maps.append(values.permute(0, 3, 1, 2).contiguous())
        return maps


class TinyMaps(nn.Module):
    """Five stages of two convolutions, each half as large: learns in minutes on two cores.

    Groups in place of batches are normalised: what it says of a picture does not depend on others.
    """

    widths = (16, 24, 32, 48, 64)

    def __init__(self) -> None:
        super().__init__()
        befores = (3, *self.widths)
        self.stages = nn.ModuleList(
            nn.Sequential(*_normalised(before, after, 2), *_normalised(after, after, 1))
            for before, after in zip(befores, self.widths, strict=False)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) to maps (N, C, H / 2, W / 2), then half as large each."""
        maps = [images]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps[1:]


def _normalised(before: int, after: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(before, after, 3, stride, 1, bias=False)
    return [convolution, nn.GroupNorm(after // 8, after), nn.ReLU()]


class Pyramid(Segmenter):
    """A backbone, torchvision's feature pyramid, and a light head on one of its fused levels.

    The finest level has been through all others on the way down; the coarsest, which was published,
    has not seen what they know. Parts that the finest level does not need are left out.

    Args:
        backbone: gives maps, the finest first.
        classes: K.
        level: which fused level feeds the head.
        width: channels of every fused level; the head has half of them inside.
    """

    def __init__(
        self, backbone: SwinMaps | TinyMaps, classes: int, level: Level, width: int
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.fpn = FeaturePyramidNetwork(list(backbone.widths), width)
        if level == "finest":
            for number in range(1, len(backbone.widths)):
                self.fpn.layer_blocks[number] = nn.Identity()
        self.place = 0 if level == "finest" else -1
        self.head = nn.Sequential(
            nn.Conv2d(width, width // 2, 3, padding=1), nn.ReLU(), nn.Conv2d(width // 2, classes, 1)
        )

    def compute(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, K, h, w) logits at the stride of the level."""
        maps = OrderedDict((str(n), of) for n, of in enumerate(self.backbone(images)))
        logits: Tensor = self.head(list(self.fpn(maps).values())[self.place])
        return logits

    def groups(self) -> list[nn.Module]:
        """The numbered features of Swin, or the stages."""
        parts = self.backbone.features if isinstance(self.backbone, SwinMaps) else None
        return list(parts if parts is not None else self.backbone.stages)
