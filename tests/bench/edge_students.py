"""Students with random weights as ONNX: how long a network takes does not hang on its weights.

    .venvs/distill/bin/python -m tests.bench.edge_students FOLDER resnet18:224 …

Runs under the trainer's own interpreter, started by tests.bench.edge.
"""

import sys
from pathlib import Path

import torch

from shared.training import networks


def main(folder: Path, students: list[str]) -> None:
    """One file per student, named as it is."""
    for name, _, side in (student.partition(":") for student in students):
        torch.manual_seed(42)
        network, images = networks.build(name, 3, 17), torch.randn(2, 3, int(side), int(side))
        for values in network.parameters():
            if values.ndim == 1:  # normalisations that begin with 0 would make all kernels equal
                torch.nn.init.uniform_(values, 0.5, 1.5)
        networks.to_onnx(network, {"input": images}, folder / f"{name}.onnx")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
