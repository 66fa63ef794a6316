"""How files of RRDBNet weights name its convolutions: three naming schemes of one network."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch

# Per naming the layers in their order: first, dense, end of the trunk, upsampling, two at the
# end. "old": the first ESRGAN, and spandrel; "trunk": later ESRGAN, and KAIR; "body": BasicSR.
LAYERS = {
    "old": ("model.0", "model.1.sub.{block}.RDB{dense}.conv{conv}.0", "model.1.sub.{blocks}",
            "model.{upsampling}", "model.{before}", "model.{end}"),
    "trunk": ("conv_first", "RRDB_trunk.{block}.RDB{dense}.conv{conv}", "trunk_conv",
              "upconv{step}", "HRconv", "conv_last"),
    "body": ("conv_first", "body.{block}.rdb{dense}.conv{conv}", "conv_body",
             "conv_up{step}", "conv_hr", "conv_last"),
}  # fmt: skip
BLOCK = {
    "old": r"model\.1\.sub\.(\d+)\.RDB\d",
    "trunk": r"RRDB_trunk\.(\d+)\.RDB\d",
    "body": r"body\.(\d+)\.rdb\d",
}
STEP = {
    "old": r"model\.([2-9]|\d\d+)\.",  # the two layers at the end are among them
    "trunk": r"upconv(\d+)\.",
    "body": r"conv_up(\d+)\.",
}


def layer_names(naming: str, blocks: int, steps: int) -> list[str]:
    """Names of all convolutions in the order of the network.

    Args:
        naming: "old", "trunk" or "body".
        blocks: residual-in-residual dense blocks.
        steps: convolutions that follow an enlargement by 2.
    """
    first, dense, trunk, upsampling, before, end = LAYERS[naming]
    return [
        first,
        *(
            dense.format(block=block, dense=place, conv=conv)
            for block in range(blocks) for place in (1, 2, 3) for conv in range(1, 6)
        ),
        trunk.format(blocks=blocks),
        *(upsampling.format(step=step, upsampling=3 * step) for step in range(1, steps + 1)),
        before.format(before=3 * steps + 2),
        end.format(end=3 * steps + 4),
    ]  # fmt: skip


@dataclass(frozen=True)
class Naming:
    """What the names of one file say: the arguments of `layer_names`."""

    name: str
    blocks: int
    steps: int

    def translate(self, other: str) -> dict[str, str]:
        """Parameter names of this naming to those of another."""
        mine, theirs = (layer_names(name, self.blocks, self.steps) for name in (self.name, other))
        pairs = list(zip(mine, theirs, strict=True))
        return {f"{a}.{part}": f"{b}.{part}" for a, b in pairs for part in ("weight", "bias")}


def detect_naming(tensors: Mapping[str, torch.Tensor]) -> Naming | None:
    """The naming of a file, or None when nothing in it is of an RRDBNet.

    Numbers are counted, not believed, so that one wrong name in a file remains one wrong name.
    """
    blocks = {name: len(_numbers(pattern, tensors)) for name, pattern in BLOCK.items()}
    name = max(blocks, key=lambda name: blocks[name])
    steps = len(_numbers(STEP[name], tensors)) - (2 if name == "old" else 0)
    return Naming(name, blocks[name], max(steps, 0)) if blocks[name] else None


def _numbers(pattern: str, names: Mapping[str, object]) -> set[str]:
    return {match[1] for match in map(re.compile(pattern).match, names) if match}
