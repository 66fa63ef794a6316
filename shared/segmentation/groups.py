"""Groups of parameters of segmentation; importable without torch.

Their fields are flags of the command line: `shared.cli.parameters` says how they are declared.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from shared.cli import between, more_than
from shared.errors import StageError

Share = Annotated[float, between(0, 1)]


@dataclass(frozen=True)
class Views:
    """What the network sees of a tile.

    Attributes:
        augment: random views of training: none (whole tiles as they are), native (a part of the
            tile at its own resolution: flips, rotation, colours) or resized (as published: a part
            of another shape is resized to the same square, so that thin roads vanish). With resized
            the network sees whole tiles resized for validation and test, too.
        crop: pixels per side of a random view; of resized, of each view.
        p_flip: probability of a flip from left to right; of native also from top to bottom.
        p_rotate: probability of a rotation. What comes in from outside has no class.
        rotation: largest angle to either side, in degrees.
        jitter: largest change of brightness, contrast and saturation, as a share of each, and of
            hue, as a share of the circle; in random order, of the image alone.
        scale: of resized: smallest and largest share of the tile's area.
        ratio: of resized: smallest and largest ratio of width to height.
    """

    augment: Literal["none", "native", "resized"] = "native"
    crop: Annotated[int, between(32, 4096)] = 256
    p_flip: Share = 0.5
    p_rotate: Share = 0.5
    rotation: Annotated[float, between(0, 180)] = 15.0
    jitter: tuple[Annotated[float, between(0, 0.5)], ...] = (0.2, 0.2, 0.2, 0.2)
    scale: tuple[Annotated[float, between(0.01, 1)], ...] = (0.66, 1.0)
    ratio: tuple[Annotated[float, more_than(0)], ...] = (0.75, 1.33)


def check_views(views: Views, side: int) -> None:
    """Refuse flags that do not go together, or not with the tiles.

    Args:
        views: what was asked for.
        side: pixels of a tile along each axis.

    Raises:
        StageError: names the flag.
    """
    if len(views.jitter) != 4:
        raise StageError(
            "--jitter: expected four numbers, for brightness, contrast, saturation and hue, found "
            f"{len(views.jitter)}"
        )
    for name, pair in (("scale", views.scale), ("ratio", views.ratio)):
        if len(pair) != 2 or pair[0] > pair[1]:
            found = ",".join(f"{value:g}" for value in pair)
            raise StageError(
                f"--{name}: expected the smaller number, then the larger, found {found}"
            )
    if views.augment == "native" and views.crop > side:
        raise StageError(
            f"--crop: expected at most the {side} pixels of a tile, found {views.crop}; "
            "--augment resized enlarges"
        )
