"""Students trained already: ``student_resnet18_last.pth`` of the thesis, or our own safetensors."""

from pathlib import Path

from torch import nn

from shared.backend import weights
from shared.training import networks, students


def read(
    path: Path, architecture: str, channels: int, classes: int, size: int = students.SIZE
) -> nn.Module:
    """The trained network, head included.

    Args:
        path: .safetensors or .pth, maybe under wrapper keys such as "state_dict"; names may all
            begin with "module.", "model.", "student." or the like.
        architecture: any that `networks.build` knows.
        channels: at its input.
        classes: K outputs.
        size: pixels per side of its pictures.

    Raises:
        StageError: not such a file; tensors are missing, extra or of another shape.
    """
    network = networks.build(architecture, channels, classes, size=size)
    tensors = weights.read(path)
    what = f"{architecture} ({channels} bands, {classes} classes)"
    weights.fit(path, network, tensors, what)
    return network
