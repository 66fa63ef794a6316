"""What the student starts from: fresh weights, those of a file, or a checkpoint."""

from timm.models import adapt_input_conv
from torch import nn

from shared.errors import StageError
from shared.training import networks
from stages.distill import checkpoint
from stages.distill.settings import Settings


def check(settings: Settings, classes: int) -> None:
    """Build the student once and run it on zeros.

    Raises:
        StageError: unknown architecture, a size it does not take, weights that do not fit.
    """
    read = settings.weights and not settings.adapt
    networks.check(
        settings.architecture, classes, settings.published.size,
        settings.weights if read else None, len(settings.bands),
    )  # fmt: skip
    if settings.adapt or settings.checkpoint:
        network(settings, classes)


def network(settings: Settings, classes: int) -> nn.Module:
    """The student before training, or trained already where there is a checkpoint.

    Raises:
        StageError: as `networks.build` and `checkpoint.read`.
    """
    name, channels = settings.architecture, len(settings.bands)
    if settings.checkpoint:
        return checkpoint.read(settings.checkpoint, name, channels, classes)
    if not settings.adapt:
        return networks.build(name, channels, classes, settings.weights)
    found = networks.build(name, channels, classes)
    known = networks.build(name, 3, classes, settings.weights).state_dict()
    first = getattr(found, "pretrained_cfg", {}).get("first_conv")
    if not isinstance(first, str):
        raise StageError(f"--adapt: timm does not say which layer of {name!r} is the first")
    known[f"{first}.weight"] = adapt_input_conv(channels, known[f"{first}.weight"])
    found.load_state_dict(known)
    return found
