"""Segmentation: a class for each pixel of orthophotos, learned from tiles and their masks."""

from pathlib import Path

from shared import cli
from shared.segmentation import Views
from shared.training import Seed
from stages.segment.settings import Descent, Loss, Machine, Network, Settings, Teaching


def run(
    *,
    train: Path,
    validation: Path,
    dst: Path,
    test: Path | None = None,
    network: Network = Network(),
    views: Views = Views(),
    loss: Loss = Loss(),
    descent: Descent = Descent(),
    teaching: Teaching = Teaching(),
    seed: Seed = 42,
    machine: Machine = Machine(),
) -> None:
    """Train a segmentation network on tiles; keep the epoch that is best on other tiles.

    Best is the one with the highest mean IoU of the validation tiles, from counts of all their
    pixels.

    Args:
        train: tile file of the training split, as landcover writes it.
        validation: tile file that chooses the epoch and the learning rate.
        dst: folder with network.onnx, network.safetensors, model.json, metrics, confusion matrix,
            curves and examples.
        test: tile file that nothing is chosen by; it is measured at the end.
        seed: of weights, order and views.
    """
    settings = Settings(
        network=network, views=views, loss=loss, descent=descent, teaching=teaching,
        machine=machine, seed=seed,
    )  # fmt: skip
    settings.check()

    from stages.segment import training

    training.train_network(train, validation, test, dst, settings)


if __name__ == "__main__":
    cli.main(run)
