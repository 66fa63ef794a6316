"""Several processes at one product: which of them this is, as torchrun or srun says.

Of a stage that trains, the first one makes the product. The others help to compute it; what they
would write goes into a scratch folder that is thrown away, so that no stage needs to know of them.
"""

import os


def rank_and_size() -> tuple[int, int]:
    """This process's number, from 0, and how many there are."""
    for rank, size in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")):
        if rank in os.environ and size in os.environ:
            return int(os.environ[rank]), int(os.environ[size])
    return 0, 1


def is_helper() -> bool:
    """Whether this is not the first of them."""
    return rank_and_size()[0] > 0


def count_nodes() -> int:
    """On how many machines the processes run, equally many on each."""
    if "LOCAL_WORLD_SIZE" in os.environ:
        return max(1, rank_and_size()[1] // int(os.environ["LOCAL_WORLD_SIZE"]))
    return int(os.environ.get("SLURM_STEP_NUM_NODES", "1"))
