"""The parameters of explaining in groups."""

from dataclasses import dataclass
from typing import Annotated

from shared.cli import at_least, between


@dataclass(frozen=True)
class Maps:
    """The maps of a test row, and how they are drawn.

    Attributes:
        layers: names of layers for Grad-CAM, as torch names them; none takes the last convolution.
            A network that has none of the names takes its last convolution as well.
        occlusion: side in pixels of the patch of the square that is covered; 0 for no occlusion.
        opacity: of a map over its patch.
    """

    layers: tuple[str, ...] = ()
    occlusion: Annotated[int, at_least(0)] = 8
    opacity: Annotated[float, between(0, 1)] = 0.5


@dataclass(frozen=True)
class Choice:
    """Which test rows and networks are looked at.

    Attributes:
        rows: rows to explain, zero-based; without them, of each class one that the first product
            gets right and one that it gets wrong, where there are such among the sample.
        sample: largest number of test rows that are classified, evenly spread over the file:
            those to choose from, and those of the importance of bands.
        seed: of the choice.
        member: which network of an ensemble is explained, from 1; 0 for all of them together.
    """

    rows: tuple[int, ...] = ()
    sample: Annotated[int, at_least(1)] = 1000
    seed: Annotated[int, at_least(0)] = 42
    member: Annotated[int, at_least(0)] = 1
