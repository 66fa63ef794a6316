"""Groups of parameters of the stage."""

import os
from dataclasses import dataclass
from typing import Annotated

from shared import cli
from shared.int8 import SCHEMES, Scheme


@dataclass(frozen=True)
class Int8:
    """How the INT8 networks are calibrated, and which layers are blamed for what they lose.

    Attributes:
        calibration_per_class: training rows of each class that are used for calibration.
        scheme: quantisation schemes, as the SDK documents them. The first one gives the INT8
            network of the product, and its bundle asks the SDK for it, unless voyager --scheme says
            otherwise. The others are compared with it.
        blame_per_class: test rows of each class over which each layer is quantised alone, by the
            first scheme; 0 leaves that out.
        seed: of the random choice of calibration and of these test rows.
    """

    calibration_per_class: Annotated[int, cli.at_least(1)] = 30
    scheme: tuple[Scheme, ...] = SCHEMES
    blame_per_class: Annotated[int, cli.at_least(0)] = 12
    seed: Annotated[int, cli.at_least(0)] = 42


@dataclass(frozen=True)
class Computing:
    """Memory, processors and timing; the networks and scores do not depend on these.

    Attributes:
        batch: rows that are prepared at once.
        threads: rows that are evaluated at the same time, 0 for one per processor.
        latency_runs: timed runs of each network.
    """

    batch: Annotated[int, cli.at_least(1)] = 64
    threads: Annotated[int, cli.at_least(0)] = 0
    latency_runs: Annotated[int, cli.at_least(1)] = 100

    def workers(self) -> int:
        """Number of threads to use."""
        return self.threads or len(os.sched_getaffinity(0))
