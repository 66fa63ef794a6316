"""Several processes: the network that one process trains with the same batches, within rounding."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from shared.learn import distributed
from tests.learn import processes

TOLERANCE = 2e-5  # of weights, after 12 steps in single precision


def run(count: int, *arguments: str) -> None:
    """Start a module in so many processes of this machine, over gloo."""
    starter = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"]
    done = subprocess.run([sys.executable, *starter, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    processes.main(tmp_path)
    whole = torch.load(tmp_path / "rank-0.pt", weights_only=True)
    parted = tmp_path / "parted"
    parted.mkdir()
    run(2, "-m", "tests.learn.processes", str(parted))
    ranks = [torch.load(parted / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1)]
    for name, (weights, series) in whole.items():
        for key, expected in weights.items():
            for found in ranks:
                torch.testing.assert_close(found[name][0][key], expected, atol=TOLERANCE, rtol=0)
            assert torch.equal(ranks[0][name][0][key], ranks[1][name][0][key])
        assert ranks[0][name][1] == ranks[1][name][1]
        assert ranks[0][name][1]["train loss"] == pytest.approx(series["train loss"], abs=1e-5)
        assert ranks[0][name][1]["validation accuracy"] == series["validation accuracy"]


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 4, 5)])
def test_batch_norm_of_one_process_is_torchs(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values, gradients and running statistics, where there is nobody to sum with."""
    monkeypatch.setattr(distributed, "all_reduce", lambda tensor: tensor)
    torch.manual_seed(0)
    values = torch.randn(shape, dtype=torch.float32) * 3 + 100
    found = []
    for ours in (True, False):
        taken = values.clone().requires_grad_()
        layer = torch.nn.BatchNorm1d(3) if len(shape) == 2 else torch.nn.BatchNorm2d(3)
        torch.nn.init.uniform_(layer.weight, generator=torch.Generator().manual_seed(1))
        with distributed.GlobalBatchNorm() if ours else torch.enable_grad():
            said = layer(taken)
        (said**3).sum().backward()
        found.append([said, taken.grad, layer.weight.grad, layer.running_mean, layer.running_var])
        with distributed.GlobalBatchNorm() if ours else torch.enable_grad():
            found[-1].append(layer.eval()(taken))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=2e-4)


def test_other_functions_are_left_alone() -> None:
    with distributed.GlobalBatchNorm():
        assert torch.equal(functional.relu(torch.tensor([-1.0, 2.0])), torch.tensor([0.0, 2.0]))
