"""What TensorBoard shows of a training: values by epoch and by step, one of each.

The values lie in the checkpoints, times included, and event files are written from them: a run that
goes on writes those of its checkpoint again and no epoch twice. They hold speeds, which differ
between any two runs, so event files are no part of what a product is compared by.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from shared.unfinished import work

FOLDER = "tensorboard"  # in the product; in it a folder for each network
FILE = "events.out.tfevents"  # the same name every time; TensorBoard looks for the last word
EVERY = 50  # steps between two losses of a step
Entry = tuple[str, int, float, float]  # tag, epoch or step from 1, seconds since 1970, value


class EventFile:
    """The event file of one network, begun anew.

    Args:
        folder: of it, made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.record_writer import RecordWriter

        work.make_folder(folder)
        self.event, self.writer = Event, RecordWriter(str(folder / FILE))
        self._put(wall_time=time.time(), file_version="brain.Event:2")
        self.append([])

    def append(self, entries: Sequence[Entry]) -> None:
        """Write values, down to the disk."""
        for tag, step, when, value in entries:
            scalar = {"value": [{"tag": tag, "simple_value": value}]}
            self._put(wall_time=when, step=step, summary=scalar)
        self.writer.flush()

    def _put(self, **fields: Any) -> None:
        self.writer.write(self.event(**fields).SerializeToString())


class Log:
    """The values of one network so far.

    Attributes:
        entries: in the order in which they came.
        steps: of the optimiser that are done.
        file: where they are written as well, if anywhere.
    """

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.steps, self.rate = 0, 0.0
        self.file: EventFile | None = None
        self.losses: list[Tensor] = []  # of this epoch, on the device, so that no step waits
        self.places: list[int] = []

    def step(self, loss: Tensor, rate: float) -> None:
        """Count a step; remember the loss () of every fiftieth one, the first among them.

        Args:
            loss: of this process's part of the batch.
            rate: learning rate of the step.
        """
        if self.steps % EVERY == 0:
            self.losses.append(loss.detach())
            self.places.append(self.steps + 1)
        self.steps, self.rate = self.steps + 1, rate

    def end_epoch(
        self, fabric: Fabric, epoch: int, series: Mapping[str, Sequence[float]], speed: float
    ) -> None:
        """Add the values of an epoch that has ended; every process must call it.

        Args:
            fabric: where; losses of steps are means over its processes.
            epoch: number of it, from 1.
            series: quantity to values, the last one of each being that of the epoch.
            speed: rows of training per second.
        """
        now, fresh = time.time(), list[Entry]()
        if self.losses:
            values = fabric.all_reduce(torch.stack(self.losses).float(), reduce_op="mean").tolist()
            pairs = zip(self.places, values, strict=True)
            fresh += [("step/train loss", step, now, value) for step, value in pairs]
        said = {quantity: values[-1] for quantity, values in series.items()}
        said |= {"learning rate": self.rate, "rows per second": speed}
        fresh += [(f"epoch/{name}", epoch, now, value) for name, value in said.items()]
        self.losses, self.places = [], []
        self.entries += fresh
        if self.file:
            self.file.append(fresh)

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {"entries": self.entries, "steps": self.steps}

    def resume(self, state: dict[str, Any] | None) -> None:
        """Take what a checkpoint holds; None where it is from before there were logs."""
        if state:
            self.entries, self.steps = list(state["entries"]), state["steps"]


@contextlib.contextmanager
def write_to(folder: Path | None, logs: Mapping[str, Log]) -> Iterator[None]:
    """Write logs of networks by name to files below a folder, what they hold already first.

    Nowhere without a folder, nor where tensorboardX is missing: an environment from before it
    trains as well.
    """
    if folder is None or find_spec("tensorboardX") is None:
        yield
        return
    try:
        for name, log in logs.items():
            log.file = EventFile(folder / name)
            log.file.append(log.entries)
        yield
    finally:
        for log in logs.values():
            if log.file:
                log.file.writer.close()
            log.file = None
