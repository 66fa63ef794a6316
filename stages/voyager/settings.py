"""What a bundle is made for: releases of the SDK, and what their compiler is told."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from shared.cli import between
from shared.errors import StageError
from shared.int8 import HISTOGRAM, SCHEMES, Scheme
from shared.models import MODEL_FILE, Card
from shared.reading import documents

Sdk = Literal["1.2", "1.6", "1.8", "all"]
UNSAID: tuple[Scheme, int] = (HISTOGRAM, 1)  # scheme and cores of 1.2.5 by itself


@dataclass(frozen=True)
class Profile:
    """What one release of the SDK asks of a bundle.

    Attributes:
        least: the first release that it stands for.
        below: the first release that it does not stand for.
        decimals: of mean and std that its streaming pipeline keeps.
        pictures: the most that its documents let deploy.py calibrate with.
        toml: whether the compiler reads its settings from a TOML file; otherwise they stand,
            nested, in the YAML.
        driver: version of metis-dkms that goes with it.
    """

    least: str
    below: str
    decimals: int
    pictures: int
    toml: bool
    driver: str


PROFILES = {
    "1.2": Profile("1.2.5", "1.3", 3, 2000, False, "0.07.16"),
    "1.6": Profile("1.6.0", "1.8", 6, 400, True, "1.4.16"),
    "1.8": Profile("1.8.0", "1.9", 6, 400, True, "1.6.2"),
}


@dataclass(frozen=True)
class Deployment:
    """What the bundle is made for.

    Attributes:
        sdk: release of the Voyager SDK that the bundle is for, or all of them with one YAML,
            where the network and the compiler's settings allow it.
        scheme: how the compiler chooses the ranges of activations; weights have one range per
            output channel in every scheme. Without a value it is that of the folder's INT8
            network, of which export says what it costs; of a folder that names none,
            per_tensor_histogram, the default of the SDK.
        cores: cores of the accelerator that one network is compiled for, which share a batch of
            as many pictures; with 1 the runtime starts one copy a core.
    """

    sdk: Sdk = "1.8"
    scheme: Scheme | None = None
    cores: Annotated[int, between(1, 4)] = 1

    @property
    def profiles(self) -> tuple[str, ...]:
        """Names of the profiles, oldest first."""
        return tuple(PROFILES) if self.sdk == "all" else (self.sdk,)

    @property
    def chosen(self) -> Scheme:
        """The scheme, also where none is given."""
        return self.scheme or HISTOGRAM

    @property
    def decimals(self) -> int:
        """Decimals of mean and std that all of them keep."""
        return kept_decimals(self.profiles)

    def of_export(self, src: Path) -> "Deployment":
        """The same with the scheme by which export made its INT8 network, unless one is given.

        Args:
            src: model folder; none that export wrote names a scheme.

        Raises:
            StageError: it names one that the SDK does not have.
        """
        if self.scheme:
            return self
        named = documents.read_json(src / MODEL_FILE).get("scheme", HISTOGRAM)
        if named not in SCHEMES:
            raise StageError(
                f"{src / MODEL_FILE}: expected one of {', '.join(SCHEMES)} as scheme, "
                f"found {named!r}"
            )
        return dataclasses.replace(self, scheme=named)

    def check(self, calibration: int) -> None:
        """Refuse what the SDK would not do as it is asked.

        Raises:
            StageError: more pictures than it takes, or settings that no single YAML can say.
        """
        most = most_pictures(self.profiles)
        if calibration > most:
            raise StageError(
                f"--calibration: expected at most {most} for --sdk {self.sdk}, found "
                f"{calibration}: that is the most that its documents let deploy.py take"
            )
        if self.sdk == "all" and (self.chosen, self.cores) != UNSAID:
            raise StageError(
                f"--sdk all: expected --scheme {UNSAID[0]} and --cores {UNSAID[1]}, found "
                f"{self.chosen} and {self.cores}: 1.2 reads no TOML, and 1.6 does not know the "
                "nested entries of 1.2; make one bundle for each"
            )


def kept_decimals(profiles: tuple[str, ...]) -> int:
    """Decimals of mean and std that the streaming pipelines of all these profiles keep."""
    return min(PROFILES[name].decimals for name in profiles)


def count_decimals(card: Card) -> int:
    """The fewest decimals, up to those that any release keeps, that mean and std have."""
    most = max(facts.decimals for facts in PROFILES.values())
    numbers = (*card.mean, *card.std)
    return next(n for n in range(most + 1) if n == most or all(round(v, n) == v for v in numbers))


def most_pictures(profiles: tuple[str, ...]) -> int:
    """The most calibration pictures that deploy.py takes in all these profiles."""
    return min(PROFILES[name].pictures for name in profiles)
