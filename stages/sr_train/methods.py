"""The methods that can be trained, and which sizes of a network go together."""

from dataclasses import dataclass

from shared.errors import StageError
from shared.sr.methods import Training, load_all

UPSAMPLERS = ("pixelshuffledirect", "pixelshuffle")


METHODS = {name: method.train for name, method in load_all().items() if method.train}


@dataclass(frozen=True)
class Size:
    """Sizes of the network to train; heads, window and upsampler are SwinIR's alone.

    Attributes:
        width: features of a layer.
        depth: as in `Training`.
        heads: attention heads.
        window: pixels a side of an attention window.
        upsampler: one of UPSAMPLERS.
    """

    width: int
    depth: tuple[int, ...]
    heads: int = 0
    window: int = 0
    upsampler: str = ""

    def facts(self) -> dict[str, object]:
        """The sizes that the network has."""
        return {name: value for name, value in vars(self).items() if value}


def choose(method: str, scale: int, adversarial: float) -> Training:
    """The published network of a method that can be trained at this scale in this way.

    Raises:
        StageError: it cannot.
    """
    if method not in METHODS:
        expected = ", ".join(METHODS)
        raise StageError(f"--method: expected one of {expected}, found {method!r}")
    training = METHODS[method]
    if scale not in training.scales:
        expected = " or ".join(map(str, training.scales))
        raise StageError(f"--scale: expected {expected} for {method}, found {scale}")
    if adversarial < 0:
        raise StageError(f"--adversarial: expected 0 or more, found {adversarial}")
    if adversarial and not training.adversarial:
        able = " and ".join(name for name, other in METHODS.items() if other.adversarial)
        raise StageError(f"--adversarial: only for {able}, found {adversarial} for {method}")
    return training


def sizes(method: str, given: Size) -> Size:
    """The sizes given, the published ones where none is.

    Raises:
        StageError: sizes that the method does not have, or that do not go together.
    """
    published = METHODS[method]
    width, depth = given.width or published.width, given.depth or published.depth
    if width < 1 or min(depth) < 1:
        raise StageError(f"--width, --depth: expected at least 1, found {width}, {depth}")
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
    if upsampler not in UPSAMPLERS:
        raise StageError(f"--upsampler: expected one of {UPSAMPLERS}, found {upsampler!r}")
    if heads < 1 or width % heads:
        raise StageError(f"--width: expected a multiple of --heads {heads}, found {width}")
    if window < 2:
        raise StageError(f"--window: expected at least 2, found {window}")
    return Size(width, depth, heads, window, upsampler)
