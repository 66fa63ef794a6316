"""Networks for segmentation by name, ours or of torchvision and segmentation-models-pytorch."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torchvision
from torch import Tensor, nn

from shared.backend import weights
from shared.errors import StageError
from shared.progress import say
from shared.segmentation.pyramids import Level, Pyramid, Segmenter, SwinMaps, Taps, TinyMaps

TINY, DEEPLAB = "pyramid-tiny", "deeplabv3_mobilenet"
SWINS = ("swin_v2_t", "swin_v2_s", "swin_v2_b")
ARCHITECTURES = (*SWINS, TINY, DEEPLAB)  # and HEAD-ENCODER
HEADS = {"unet": smp.Unet, "fpn": smp.FPN}
SHORT = {"mobilenetv4": "mobilenetv4_conv_small"}  # encoders that have a shorter name here
SWIN_FIRST = "features.0.0.weight"  # the convolution of patches
WIDTH, TINY_WIDTH = 256, 32  # channels of fused levels


class LibraryNetwork(Segmenter):
    """A whole network of a library.

    Args:
        network: (N, 3, H, W) to (N, K, H, W), or to a dictionary with that as "out".
        backbone: the part of it that may have learned from other pictures before.
    """

    enlarges = False

    def __init__(self, network: nn.Module, backbone: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._backbone = [backbone]  # in a list: it is registered once, inside the network

    @property
    def backbone(self) -> nn.Module:  # type: ignore[override]
        """The encoder."""
        return self._backbone[0]

    def compute(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, K, H, W) logits."""
        said: Any = self.network(images)
        logits: Tensor = said["out"] if isinstance(said, dict) else said
        return logits

    def groups(self) -> list[nn.Module]:
        """Children of the encoder; those of timm's network where it is one."""
        encoder = getattr(self.backbone, "model", self.backbone)
        return [part for part in encoder.children() if any(True for _ in part.parameters())]


def build(
    name: str, classes: int, *, level: Level = "finest", taps: Taps = "stages", width: int = WIDTH
) -> Segmenter:
    """A network with fresh weights.

    Args:
        name: one of `ARCHITECTURES`, or unet-ENCODER or fpn-ENCODER with an encoder of
            segmentation-models-pytorch or of timm.
        classes: K.
        level: which fused level feeds the head, of Swin and of pyramid-tiny.
        taps: where Swin is tapped: behind its stages, or behind its mergings as published.
        width: channels of the fused levels of Swin.

    Raises:
        StageError: an unknown name, or a network without such a choice.
    """
    if name in SWINS:
        return Pyramid(SwinMaps(name, taps), classes, level, width)
    if taps != "stages":
        raise StageError(f"--taps: concerns {', '.join(SWINS)}, found --architecture={name}")
    if name == TINY:
        return Pyramid(TinyMaps(), classes, level, TINY_WIDTH)
    if level != "finest":
        which = f"{', '.join(SWINS)} and {TINY}"
        raise StageError(f"--level: concerns {which}, found --architecture={name}")
    if name == DEEPLAB:
        whole = torchvision.models.segmentation.deeplabv3_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=classes, aux_loss=False
        )
        return LibraryNetwork(whole, whole.backbone)
    head, _, encoder = name.partition("-")
    if head not in HEADS or not encoder:
        raise StageError(_describe_unknown(name))
    whole = HEADS[head](_find_encoder(name, encoder), encoder_weights=None, classes=classes)
    return LibraryNetwork(whole, whole.encoder)


def _find_encoder(name: str, encoder: str) -> str:
    """What segmentation-models-pytorch calls an encoder; those of timm begin with tu- there."""
    encoder = SHORT.get(encoder, encoder)
    if encoder in smp.encoders.encoders:
        return encoder
    if timm.is_model(encoder):
        return f"tu-{encoder}"
    raise StageError(_describe_unknown(name))


def _describe_unknown(name: str) -> str:
    head, _, encoder = name.partition("-")
    known = [*smp.encoders.encoders, *timm.list_models(), *SHORT]
    near = [f"{head}-{one}" for one in difflib.get_close_matches(encoder, known, 3)]
    near = near if head in HEADS else difflib.get_close_matches(name, ARCHITECTURES, 3)
    hint = f"; near: {', '.join(near)}" if near else ""
    return (
        f"--architecture: expected {', '.join(ARCHITECTURES)}, unet-ENCODER or fpn-ENCODER, "
        f"found {name!r}{hint}"
    )


def load_backbone(network: Segmenter, path: Path) -> None:
    """Put the weights of a file into the backbone.

    The file may hold more, such as a classifier or another network around the backbone: the names
    of the backbone are found behind whatever stands before them.

    Raises:
        StageError: a tensor of the backbone is missing in the file, or has another shape.
    """
    own = network.backbone.state_dict()
    given = weights.read(path)
    prefix = _find_prefix(own, given)
    found = {name: given[prefix + name] for name in own if prefix + name in given}
    # Counters of batch norm are younger than some published files; training does not use them.
    kept = {name: of for name, of in own.items() if name.endswith("num_batches_tracked")}
    wanted = {name: of for name, of in own.items() if name in found or name not in kept}
    if fault := weights.misfit(wanted, weights.FileTensors(found)):
        raise StageError(f"{path}: does not fit the backbone: {fault}")
    network.backbone.load_state_dict(kept | found)
    weights.say(path, given)
    if left := len(given) - len(found):
        say(f"{path}: {len(found)} tensors for the backbone, {left} others not used")


def find_origin(path: Path) -> str:
    """What stands in a file before the names that torchvision gives to Swin; "" where none does."""
    given = weights.read(path)
    starts = [name.removesuffix(SWIN_FIRST) for name in given if name.endswith(SWIN_FIRST)]
    return "".join(given.origin.prefixes) + starts[0] if starts else ""


def _find_prefix(own: Iterable[str], given: weights.FileTensors) -> str:
    """What stands before the names of the backbone in a file: what fits most of them."""
    names = list(own)
    probe = max(names, key=len)  # the longest name, which says most
    ends = [name.removesuffix(probe) for name in given if name.endswith(probe)]
    fitting = {prefix: sum(prefix + name in given for name in names) for prefix in ends}
    return max(fitting, key=lambda prefix: fitting[prefix], default="")
