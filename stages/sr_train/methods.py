"""The methods that can be trained, and which sizes of a network go together."""

from dataclasses import dataclass
from typing import Annotated

from shared.cli import at_least, one_of
from shared.errors import StageError
from shared.sr.methods import Training, load_all

UPSAMPLERS = ("pixelshuffledirect", "pixelshuffle")

METHODS = {name: method.train for name, method in load_all().items() if method.train}


@dataclass(frozen=True)
class Size:
    """Size of the network, the published one unless stated.

    Attributes:
        width: features of a layer; 0 is the published number (64; SwinIR-S 60, SwinIR-M 180).
        depth: middle layers of vdsr, residual blocks of edsr (16), esrgan, bsrnet and realesrgan,
            blocks of each group of swinir; none is the published depth.
        heads: attention heads of swinir; 0 is 6.
        window: pixels per side of an attention window of swinir; 0 is 8.
        upsampler: of swinir, pixelshuffledirect (SwinIR-S) or pixelshuffle (SwinIR-M); empty is
            pixelshuffledirect.
    """

    width: Annotated[int, at_least(1)] = 0
    depth: Annotated[tuple[int, ...], at_least(1)] = ()
    heads: Annotated[int, at_least(1)] = 0
    window: Annotated[int, at_least(2)] = 0
    upsampler: Annotated[str, one_of(*UPSAMPLERS)] = ""

    def facts(self) -> dict[str, object]:
        """The sizes that the network has."""
        return {name: value for name, value in vars(self).items() if value}


def choose(method: str, scale: int, adversarial: float) -> Training:
    """The published network of a method that can be trained at this scale in this way.

    Raises:
        StageError: it cannot.
    """
    training = METHODS[method]
    if scale not in training.scales:
        expected = " or ".join(map(str, training.scales))
        raise StageError(f"--scale: expected {expected} for {method}, found {scale}")
    if adversarial and not training.adversarial:
        able = " and ".join(name for name, other in METHODS.items() if other.adversarial)
        raise StageError(f"--adversarial: only for {able}, found {adversarial} for {method}")
    return training


def complete_size(method: str, given: Size) -> Size:
    """The sizes given, the published ones where none is.

    Raises:
        StageError: sizes that the method does not have, or that do not go together.
    """
    published = METHODS[method]
    width, depth = given.width or published.width, given.depth or published.depth
    if published.network == "swinir":
        return _swinir(width, depth, given)
    for name in ("heads", "window", "upsampler"):
        if value := getattr(given, name):
            raise StageError(f"--{name}: only for swinir, found {value} for {method}")
    if len(depth) > 1:
        raise StageError(f"--depth: expected one number for {method}, found {depth}")
    if published.network == "rrdb" and (width < 6 or width % 2):
        raise StageError(f"--width: expected an even number from 6 for {method}, found {width}")
    return Size(width, depth)


def _swinir(width: int, depth: tuple[int, ...], given: Size) -> Size:
    heads, window = given.heads or 6, given.window or 8
    upsampler = given.upsampler or UPSAMPLERS[0]
    if width % heads:
        raise StageError(f"--width: expected a multiple of --heads {heads}, found {width}")
    return Size(width, depth, heads, window, upsampler)
