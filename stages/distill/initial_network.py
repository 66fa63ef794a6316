"""What the student starts from: fresh weights, those of a file, or a checkpoint."""

from timm.models import adapt_input_conv
from torch import nn

from shared.errors import StageError
from shared.training import networks
from stages.distill import checkpoint
from stages.distill.settings import Student


def check(student: Student, size: int, classes: int) -> None:
    """Build the student once and run it on zeros.

    Raises:
        StageError: unknown architecture, a size it does not take, weights that do not fit.
    """
    weights = student.weights if student.weights and not student.adapt else None
    networks.check(student.architecture, classes, size, weights, len(student.bands))
    if student.adapt or student.checkpoint:
        build(student, size, classes)


def build(student: Student, size: int, classes: int) -> nn.Module:
    """The student before training, or trained already where there is a checkpoint.

    Raises:
        StageError: as `networks.build` and `checkpoint.read`.
    """
    name, channels = student.architecture, len(student.bands)
    if student.checkpoint:
        return checkpoint.read(student.checkpoint, name, channels, classes, size)
    if not student.adapt:
        return networks.build(name, channels, classes, student.weights, size)
    network = networks.build(name, channels, classes, size=size)
    tensors = networks.build(name, 3, classes, student.weights, size).state_dict()
    first = getattr(network, "pretrained_cfg", {}).get("first_conv")
    if not isinstance(first, str):
        raise StageError(f"--adapt: no layer of {name!r} is known to be the first of all bands")
    tensors[f"{first}.weight"] = adapt_input_conv(channels, tensors[f"{first}.weight"])
    network.load_state_dict(tensors)
    return network
