"""Several processes: the network that one process trains with the same batches, within rounding."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from shared.errors import StageError
from shared.training.parallel import distributed, launchers
from tests.training import processes

TOLERANCE = 2e-5  # of weights, after 12 steps in single precision


def run(count: int, *arguments: str) -> None:
    """Start a module in so many processes of this machine, over gloo."""
    starter = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"]
    done = subprocess.run([sys.executable, *starter, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def step(count: int, each: Callable[[int], list[str]]) -> list[subprocess.Popen[str]]:
    """Start processes as one step of an interactive Slurm job does, whose job has more tasks."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    of_job = {
        "SLURM_JOB_NAME": "interactive", "SLURM_NTASKS": "8", "SLURM_NNODES": "2",
        "SLURM_NTASKS_PER_NODE": "4", "SLURM_NODELIST": "elsewhere[1-2]", "MASTER_PORT": port,
    }  # fmt: skip
    of_step = {
        "SLURM_STEP_NUM_TASKS": str(count), "SLURM_STEP_NUM_NODES": "1", "SLURM_NODEID": "0",
        "SLURM_STEP_NODELIST": "127.0.0.1",
    }  # fmt: skip
    return [
        subprocess.Popen(
            [sys.executable, *each(rank)], stderr=subprocess.PIPE, text=True,
            env=os.environ | of_job | of_step
            | {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)},
        )
        for rank in range(count)
    ]  # fmt: skip


def by_srun(folder: Path, mixup: float) -> None:
    for process in step(2, lambda _: ["-m", "tests.training.processes", str(folder), str(mixup)]):
        said = process.communicate()[1]
        assert process.returncode == 0, said


def by_torchrun(folder: Path, mixup: float) -> None:
    run(2, "-m", "tests.training.processes", str(folder), str(mixup))


@pytest.mark.parametrize(
    ("start", "mixup"), [(by_torchrun, 0.0), (by_torchrun, 0.4), (by_srun, 0.0)]
)
def test_two_processes_train_what_one_does(
    tmp_path: Path, start: Callable[[Path, float], None], mixup: float
) -> None:
    processes.main(tmp_path, mixup)
    whole = torch.load(tmp_path / "rank-0.pt", weights_only=True)
    parted = tmp_path / "parted"
    parted.mkdir()
    start(parted, mixup)
    ranks = [torch.load(parted / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1)]
    for name, (weights, series) in whole.items():
        for key, expected in weights.items():
            for part in ranks:
                torch.testing.assert_close(part[name][0][key], expected, atol=TOLERANCE, rtol=0)
            assert torch.equal(ranks[0][name][0][key], ranks[1][name][0][key])
        assert ranks[0][name][1] == ranks[1][name][1]
        assert ranks[0][name][1]["train loss"] == pytest.approx(series["train loss"], abs=1e-5)
        assert ranks[0][name][1]["validation accuracy"] == series["validation accuracy"]
        losses = [of["validation loss"] for of in (ranks[0][name][1], series)]
        assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_other_commands_side_by_side_are_refused(tmp_path: Path) -> None:
    """Of shards that srun starts, all but the first would be thrown away."""
    for process in step(
        2, lambda rank: ["-m", "tests.training.processes", str(tmp_path / f"{rank}"), "0"]
    ):
        assert "one product: expected the same command in each" in process.communicate()[1]
        assert process.returncode


@pytest.mark.parametrize(
    ("processes", "message"),
    [("4", "expected a GPU for each of 2 processes of this machine"), ("5", "on each of 2 nodes")],
)
def test_processes_that_do_not_fit_the_machines_are_refused(
    processes: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With srun --gpus-per-task=1, each process sees one GPU; Lightning takes the second one."""
    monkeypatch.delenv("RANK", raising=False)
    for name, value in (("PROCID", "1"), ("STEP_NUM_TASKS", processes), ("STEP_NUM_NODES", "2")):
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(StageError, match=message):
        launchers.processes_per_node("cuda")


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({}, "LightningEnvironment"),
        ({"RANK": "0", "WORLD_SIZE": "2"}, "TorchElasticEnvironment"),
        ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "3"}, "Step"),
        ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}, "LightningEnvironment"),
    ],
)
def test_who_started_the_processes(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], kind: str
) -> None:
    names = ("RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "MASTER_ADDR")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = launchers.choose_environment()
    assert type(found).__name__ == kind
    if isinstance(found, launchers.Step):
        assert found.world_size() == 3
        monkeypatch.setenv("SLURM_STEP_NODELIST", "gpu[07-09]")
        assert found.main_address == "gpu07"
        assert os.environ["MASTER_ADDR"] == "gpu07"
        monkeypatch.setenv("MASTER_ADDR", "other")
        assert found.main_address == "other"


def test_one_process_is_no_group() -> None:
    found = distributed.launch("cpu", "float32").strategy
    assert type(found).__name__ == "SingleDeviceStrategy"


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 4, 5)])
def test_batch_norm_of_one_process_is_torchs(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values, gradients and running statistics, where there is nobody to sum with."""
    monkeypatch.setattr(distributed, "all_reduce", lambda tensor: tensor)
    torch.manual_seed(0)
    values = torch.randn(shape, dtype=torch.float32) * 3 + 100
    passes = []
    for ours in (True, False):
        taken = values.clone().requires_grad_()
        layer = torch.nn.BatchNorm1d(3) if len(shape) == 2 else torch.nn.BatchNorm2d(3)
        torch.nn.init.uniform_(layer.weight, generator=torch.Generator().manual_seed(1))
        with distributed.GlobalBatchNorm() if ours else torch.enable_grad():
            said = layer(taken)
        (said**3).sum().backward()
        passes.append([said, taken.grad, layer.weight.grad, layer.running_mean, layer.running_var])
        with distributed.GlobalBatchNorm() if ours else torch.enable_grad():
            passes[-1].append(layer.eval()(taken))
    for ours, theirs in zip(*passes, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=2e-4)


def test_other_functions_are_left_alone() -> None:
    with distributed.GlobalBatchNorm():
        assert torch.equal(functional.relu(torch.tensor([-1.0, 2.0])), torch.tensor([0.0, 2.0]))


@pytest.mark.parametrize("said", [{}, {"momentum": 0.5}, {"eps": 0.25}])
def test_batch_norm_has_torchs_defaults(
    said: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As networks call the function themselves: with neither weights nor anything else."""
    monkeypatch.setattr(distributed, "all_reduce", lambda tensor: tensor)
    values, made = torch.randn((6, 3), generator=torch.Generator().manual_seed(0)), []
    for ours in (True, False):
        mean, spread = torch.zeros(3), torch.ones(3)
        with distributed.GlobalBatchNorm() if ours else torch.enable_grad():
            out = functional.batch_norm(values, mean, spread, training=True, **said)
        made.append((out, mean, spread))
    for one, other in zip(*made, strict=True):
        torch.testing.assert_close(one, other)
