"""What started the processes of a run, as Lightning wants to know it: torchrun, srun, or nobody."""

import os

import torch
from lightning_fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)

from shared.errors import StageError
from shared.runs import processes as ranks


class Step(SLURMEnvironment):
    """The processes of one srun, which may be a part of its job only, in any kind of job.

    Lightning's own looks at the job, wants --ntasks-per-node, and knows no interactive jobs.
    """

    @staticmethod
    def _validate_srun_used() -> None:
        """It is."""

    @staticmethod
    def _validate_srun_variables() -> None:
        """Those of the step are what counts."""

    def validate_settings(self, num_devices: int, num_nodes: int) -> None:
        """Both were taken from the step."""

    def world_size(self) -> int:
        """Processes of the step."""
        return ranks.rank_and_size()[1]

    @property
    def main_address(self) -> str:
        """The first machine of the step."""
        nodes = os.environ.get("SLURM_STEP_NODELIST", "127.0.0.1")
        return os.environ.setdefault("MASTER_ADDR", self.resolve_root_node_address(nodes))


def choose_environment() -> ClusterEnvironment:
    """Torchrun's, srun's, or that of a process alone, which may lie in a job of Slurm as well."""
    if ranks.rank_and_size()[1] == 1:
        return LightningEnvironment()
    return TorchElasticEnvironment() if "RANK" in os.environ else Step()


def processes_per_node(accelerator: str) -> int:
    """Processes of this run on each machine.

    Args:
        accelerator: "cpu" or "cuda".

    Raises:
        StageError: not equally many on all, or more than this process sees GPUs.
    """
    (_, processes), machines = ranks.rank_and_size(), ranks.count_nodes()
    if processes % machines:
        raise StageError(
            f"{processes} processes: expected equally many on each of {machines} nodes"
        )
    gpus, wanted = torch.cuda.device_count(), processes // machines
    if accelerator == "cuda" and gpus < wanted:
        raise StageError(
            f"--device: expected a GPU for each of {wanted} processes of this machine, and each "
            f"process to see all of them, found {gpus}"
        )
    return wanted
