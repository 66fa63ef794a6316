"""preprocess.py of a bundle: from a picture to the network's input, for `axcompile --transform`.

The file holds this project's own resize, word for word, so that what calibrates is what the check
of the bundle and the training computed; it needs numpy, and torch only once it is called.
"""

import inspect
from pathlib import Path
from typing import Any

from shared import models
from shared.models import Card

FUNCTION = "get_preprocess_transform"  # what axcompile looks for
HEAD = '''"""The input of {name} from a picture, as {name}.yaml prepares it.

axcompile --transform preprocess.py calls get_preprocess_transform with each picture. The resize is
that of OpenCV on 8 bits, which the SDK calls for this YAML, written in numpy.
"""
'''
TAIL = '''

SIZE = {size}
MEAN = ({mean})
STD = ({std})


def prepare(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W, 3) RGB to (1, 3, SIZE, SIZE), normalised."""
    planes = resize_levels(np.moveaxis(picture[None], -1, 1), SIZE, SIZE, {interpolation!r})
    mean, std = (np.array(v, np.float32)[:, None, None] for v in (MEAN, STD))
    values = (planes / np.float32(255) - mean) / std
    return np.ascontiguousarray(values, np.float32)


def get_preprocess_transform(image):
    """A PIL picture, or an array (H, W, 3) in RGB, to a torch tensor (1, 3, SIZE, SIZE)."""
    import torch

    rgb = image.convert("RGB") if hasattr(image, "convert") else image
    return torch.from_numpy(prepare(np.asarray(rgb, np.uint8)))
'''


def write(name: str, card: Card, decimals: int) -> str:
    """The file's text.

    Args:
        name: of the network.
        card: how the network wants pictures.
        decimals: of mean and std, as in the YAML.
    """
    module = inspect.getmodule(models.resize_levels)
    assert module is not None
    body = inspect.getsource(module).split('"""', 2)[2]
    numbers = {
        key: ", ".join(f"{value:.{decimals}f}" for value in getattr(card, key))
        for key in ("mean", "std")
    }
    tail = TAIL.format(size=card.size, interpolation=card.interpolation, **numbers)
    return HEAD.format(name=name) + body.rstrip("\n").replace("\n\n", "\n", 1) + "\n" + tail


def load(path: Path) -> dict[str, Any]:
    """What the file defines, once it has run.

    Raises:
        ValueError: it does not run.
    """
    found: dict[str, Any] = {"__name__": "preprocess"}
    try:
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), found)
    except Exception as error:
        raise ValueError(f"{path.name} does not run ({type(error).__name__}: {error})") from None
    return found
