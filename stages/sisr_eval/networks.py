"""Networks of sisr-train: whether they fit the pairs, and what they make of a row."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from shared import sisr
from shared.errors import StageError
from shared.sisr import cards, sessions
from shared.terminal import escape
from stages.sisr_eval.samples import IMAGES, Frame, Image, Sample

BICUBIC, SHARPER = "bicubic", "sharper bicubic"
TAKEN = (BICUBIC, SHARPER, *IMAGES)  # names of the rows that are there anyway


@dataclass(frozen=True)
class Network:
    """One product of sisr-train.

    Attributes:
        name: of its folder.
        card: what it reads and makes.
        path: its ONNX file.
        session: runs it.
    """

    name: str
    card: cards.Card
    path: Path
    session: onnxruntime.InferenceSession

    def resolve(self, sample: Sample, given: NDArray[np.float32]) -> Image:
        """(H, W, C) what it makes of a row, bands in the order of the input's.

        Args:
            sample: the row.
            given: (C, h, w) its input.

        Raises:
            StageError: it does not run, or makes another shape, NaN or infinity.
        """
        bands = sample.frame.bands
        images = given[[bands.index(band) for band in self.card.bands]][None]
        made = sessions.run_session(self.session, images, self.path, sample.number)
        expected = (1, len(self.card.made), sample.frame.side, sample.frame.side)
        if made.shape != expected:
            raise StageError(f"{self.path}: expected an output {expected}, found {made.shape}")
        chosen = made[0, [self.card.made.index(band) for band in bands]]
        return np.moveaxis(chosen, 0, 2).astype(np.float64)


def open_all(folders: tuple[Path, ...], pairs: sisr.Pairs, frame: Frame) -> list[Network]:
    """The networks of some folders, in their order, each with a name of its own.

    Raises:
        StageError: no folder, one that holds no such network or one that does not fit the pairs,
            the same folder twice.
    """
    if not folders:
        raise StageError("--networks: expected at least one folder of sisr-train, found none")
    opened = []
    for folder, name in zip(folders, name_folders(folders), strict=True):
        path, card = folder / cards.ONNX, cards.read(folder)
        check(folder, card, pairs, frame)
        opened.append(Network(name, card, path, sessions.open_session(path)))
    return opened


def name_folders(folders: tuple[Path, ...]) -> list[str]:
    """The last part of each path; more of it where that would be the name of another row.

    Raises:
        StageError: the same folder twice.
    """
    parts = [folder.absolute().parts for folder in folders]
    for number, path in enumerate(parts):
        if path in parts[:number]:
            expected = "--networks: expected folders that differ"
            raise StageError(f"{expected}, found {folders[number]} twice")
    return [_name(path, parts) for path in parts]


def _name(path: tuple[str, ...], all_paths: list[tuple[str, ...]]) -> str:
    """The shortest end of a path that no other one has, and that no other row is called."""
    name = ""
    for depth in range(1, len(path) + 1):
        name = escape("/".join(path[-depth:]))
        alike = sum(other[-depth:] == path[-depth:] for other in all_paths)
        if alike == 1 and name not in TAKEN:
            break
    return name


def check(folder: Path, card: cards.Card, pairs: sisr.Pairs, frame: Frame) -> None:
    """Refuse a network of other bands, another resolution or another factor."""
    if missing := [band for band in card.bands if band not in frame.bands]:
        expected = f"expected a network of the bands of {pairs.path} ({', '.join(frame.bands)})"
        raise StageError(f"{folder}: {expected}, found one that reads {missing[0]}")
    if missing := [band for band in frame.bands if band not in card.made]:
        expected = f"expected a network that makes all bands of {pairs.path}"
        raise StageError(f"{folder}: {expected}, found one without {missing[0]}")
    low = pairs.form.bands["low"].metres
    for what, wanted, is_there in (
        ("a factor of", frame.factor, card.factor),
        ("pixels of metres", low, card.metres),
    ):
        if wanted != is_there:
            expected = f"expected {what} {wanted:g}, as in {pairs.path}"
            raise StageError(f"{folder}: {expected}, found {is_there:g}")
