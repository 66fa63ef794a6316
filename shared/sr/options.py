"""The parameters that all super-resolution stages have; importable without torch."""

from dataclasses import dataclass
from typing import Annotated, Literal

from shared.cli import at_least, between

Scale = Annotated[int, between(2, 4)]
Channel = Literal["first", "mean", "luma"]
Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class Inference:
    """How the patches go through the network.

    Attributes:
        batch: patches that are read, enlarged and written together.
        device: auto (a GPU if there is one), cpu or cuda.
        precision: float32; bfloat16, or on a GPU float16, computes the large products faster.
        shard: "i/n" processes the i-th of n equal runs of rows; merge joins them.
    """

    batch: Annotated[int, at_least(1)] = 32
    device: Device = "auto"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    shard: str = "1/1"
