"""The parameters that all super-resolution stages have, checked before anything is read."""

from shared.errors import StageError

CHANNELS = ("first", "mean", "luma")
DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("float32", "bfloat16", "float16")


def check(
    *, scale: int, batch: int, device: str, precision: str, channel: str = "first",
    scales: tuple[int, ...] = (2, 3, 4),
) -> None:  # fmt: skip
    """Refuse words and numbers that no network has.

    Raises:
        StageError: names the flag, what it takes and what it got.
    """
    words = {"channel": (channel, CHANNELS), "device": (device, DEVICES),
             "precision": (precision, PRECISIONS)}  # fmt: skip
    for name, (value, known) in words.items():
        if value not in known:
            raise StageError(f"--{name}: expected one of {known}, found {value!r}")
    if scale not in scales:
        expected = " or ".join(map(str, scales))
        raise StageError(f"--scale: expected {expected}, found {scale}")
    if batch < 1:
        raise StageError(f"--batch: expected at least 1, found {batch}")
