"""Weights for a super-resolution network, learned from one's own Sentinel-2 patches."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from shared import cli, patches
from shared.sr import options
from stages.sr_train import methods

PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}


@dataclass(frozen=True)
class Learning:
    """How the network learns.

    Attributes:
        steps: batches to learn from.
        batch: single bands of single patches in a batch; for esrgan, three bands together.
        lr: highest learning rate of Adam.
        adversarial: weight of the adversarial loss that is added to L1, for esrgan and realesrgan;
            0 is none.
        rows: patches to read, spread evenly over the file; 0 reads all.
    """

    steps: Annotated[int, cli.at_least(1)] = 100_000
    batch: Annotated[int, cli.at_least(1)] = 512
    lr: Annotated[float, cli.more_than(0)] = 2e-4
    adversarial: Annotated[float, cli.at_least(0)] = 0.0
    rows: Annotated[int, cli.at_least(0)] = 20_000


def run(
    *,
    src: Path,
    dst: Path,
    method: Annotated[str, cli.one_of(*methods.METHODS)] = "swinir",
    scale: options.Scale = 2,
    size: methods.Size = methods.Size(),
    learning: Learning = Learning(),
    precision: Literal["float32", "bfloat16"] = "float32",
    device: options.Device = "auto",
    seed: Annotated[int, cli.at_least(0)] = 42,
) -> None:
    """Learn to undo a loss of resolution: degrade patches by the scale, restore them.

    Args:
        src: patch file with sen2 (N, H, W, C).
        dst: weights to write, safetensors, keys as in the published files.
        method: the method whose network is trained.
        scale: factor on height and width that the network undoes.
        precision: float32, or bfloat16 for mixed precision.
        device: auto (a GPU if there is one), cpu or cuda.
        seed: of the first weights and of the batches.
    """
    training = methods.choose(method, scale, learning.adversarial)
    size = methods.complete_size(method, size)

    import torch

    from shared.sr import forward
    from stages.sr_train import adversary, channels, checkpoints, networks, pairs, quality, weights

    if weights.is_finished(dst):
        return
    accelerator = forward.prepare_device(device)
    with patches.read(src, "sen2") as source:
        names = pairs.check_bands(source, scale * (size.window or 8))
        gather = channels.choose_gather(src, training.channels, names)
        learned, held = pairs.load(source, names, scale, learning.rows, gather)
    torch.manual_seed(seed)
    network = networks.build(method, scale, size)
    trainee = adversary.make_trainee(
        network, learned, learning.adversarial, steps=learning.steps, batch=learning.batch,
        lr=learning.lr, seed=seed,
    )  # fmt: skip
    checkpoints.fit(trainee, dst, accelerator, PRECISIONS[precision])
    restore = channels.make_restorer(network, training.channels, names, accelerator)
    measured = quality.measure(restore, held, names)
    count = {"learned": len(learned.low) // len(gather(held.low[:1])), "held_out": len(held.low)}
    facts = {"method": method, "scale": scale, **size.facts(), "steps": learning.steps,
             "seed": seed, "adversarial": learning.adversarial, "patches": count}  # fmt: skip
    tensors = weights.rename_for_stage(method, scale, size.depth, network)
    weights.save(dst, tensors, facts | measured)


if __name__ == "__main__":
    cli.main(run)
