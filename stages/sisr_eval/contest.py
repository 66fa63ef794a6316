"""Who is measured: the enlarged input, the networks, and the references beside each other."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared import sisr
from stages.sisr_eval import flows, measures, networks
from stages.sisr_eval.networks import BICUBIC, SHARPER
from stages.sisr_eval.samples import Frame, Image, Reference, Sample


@dataclass(frozen=True)
class Contest:
    """What is done with every row.

    Attributes:
        frame: what holds for all rows.
        networks: in the order in which they were given.
        registration: measures the geometric distortion, where there is one.
    """

    frame: Frame
    networks: list[networks.Network]
    registration: flows.Registration | None

    @classmethod
    def of(
        cls, pairs: sisr.Pairs, frame: Frame, folders: tuple[Path, ...], registration: Path | None
    ) -> "Contest":
        """All networks opened and checked.

        Raises:
            StageError: one that is none or does not fit the pairs.
        """
        opened = networks.open_all(folders, pairs, frame)
        found = flows.open_registration(registration, pairs, frame) if registration else None
        return cls(frame, opened, found)

    def resolve(self, sample: Sample) -> Iterator[tuple[str, Image]]:
        """Name and image (H, W, C) of both cubics and of each network, one after another."""
        yield BICUBIC, sample.enlarge(-1 / 2)
        yield SHARPER, sample.enlarge(-3 / 4)
        given = sample.given
        for network in self.networks:
            yield network.name, network.resolve(sample, given)

    def examine(self, sample: Sample) -> dict[str, measures.Means]:
        """All metrics of a row, by name of the image: of the references, too."""
        whole = np.ones(len(self.frame.bands), bool)
        told = {
            name: self._examine(Reference(image, whole), sample, name)
            for name, image in self.resolve(sample)
        }
        return told | {
            name: self._examine(reference, sample, name)
            for name, reference in sample.references.items()
        }

    def _examine(self, made: Reference, sample: Sample, name: str) -> measures.Means:
        told = measures.examine(made, sample, name)
        if self.registration and made.known[self.registration.band]:
            told |= self.registration.measure(made.image, sample, name)
        return told
