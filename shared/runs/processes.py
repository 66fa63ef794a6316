"""Several processes that make one product: rank and number of them, from torchrun or srun.

In a stage that trains, the first process makes the product. The others help to compute it, and
their output goes to a temporary folder, so that a stage need not treat them differently.
"""

import os


def rank_and_size() -> tuple[int, int]:
    """Rank of this process, from 0, and the number of processes."""
    for rank, size in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")):
        if rank in os.environ and size in os.environ:
            return int(os.environ[rank]), int(os.environ[size])
    return 0, 1


def is_helper() -> bool:
    """Whether this process is not the first one."""
    return rank_and_size()[0] > 0


def count_nodes() -> int:
    """Number of machines; each runs the same number of processes."""
    if "LOCAL_WORLD_SIZE" in os.environ:
        return max(1, rank_and_size()[1] // int(os.environ["LOCAL_WORLD_SIZE"]))
    return int(os.environ.get("SLURM_STEP_NUM_NODES", "1"))
