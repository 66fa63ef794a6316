"""One network with epochs of its own, around which all is as the engine has it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning_fabric import Fabric

from shared.training.loop import checkpoints
from shared.training.loop.learner import Learner
from shared.training.parallel import distributed


@contextmanager
def go_on(learner: Learner, folder: Path) -> Iterator[Fabric]:
    """Let a network train in the block, from its checkpoint if it is there.

    Args:
        learner: on the CPU afterwards, with the weights of the best epoch.
        folder: of the checkpoint, which the block writes after every epoch.

    Yields:
        What places batches and shares them among processes.

    Raises:
        StageError: the device is not there, or the checkpoint is no longer what was written.
    """
    recipe = learner.recipe
    fabric = distributed.launch(recipe.device, recipe.precision)
    state = fabric.broadcast(checkpoints.read(folder, learner.name))
    with distributed.deterministic(fabric):
        if state:
            learner.resume(state)
        if not learner.finished:
            learner.begin(fabric, state)
        yield fabric
    learner.end()
