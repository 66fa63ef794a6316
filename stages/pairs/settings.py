"""Which sites are held out, as flags."""

from dataclasses import dataclass
from typing import Annotated

from shared import cli


@dataclass(frozen=True)
class Held:
    """Sites that are held out.

    Attributes:
        test_sites: names of the sites for testing; without names, a published table of the data
            set decides, and where it has none, the shares do.
        validation_sites: names of the sites for validation.
        test_share: share of the sites for testing; 0 makes no such rows.
        validation_share: share of the sites for validation; 0 makes no such rows.
        split_seed: decides which sites these are; no other seed does.
    """

    test_sites: tuple[str, ...] = ()
    validation_sites: tuple[str, ...] = ()
    test_share: Annotated[float, cli.between(0, 1, below=True)] = 0.15
    validation_share: Annotated[float, cli.between(0, 1, below=True)] = 0.15
    split_seed: Annotated[int, cli.at_least(0)] = 42
