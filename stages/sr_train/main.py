"""Weights for a super-resolution network, learned from one's own Sentinel-2 patches."""

from pathlib import Path

from shared import cli, patches
from shared.errors import StageError

PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}


def check(**given: float | str) -> None:
    """Refuse numbers and words outside their range before anything is read."""
    for name in ("steps", "batch", "lr"):
        if float(given[name]) <= 0:
            raise StageError(f"--{name}: expected more than 0, found {given[name]}")
    for name in ("rows", "seed"):
        if float(given[name]) < 0:
            raise StageError(f"--{name}: expected 0 or more, found {given[name]}")
    if not 2 <= float(given["scale"]) <= 4:
        raise StageError(f"--scale: expected 2 to 4, found {given['scale']}")
    if given["precision"] not in PRECISIONS:
        expected = " or ".join(PRECISIONS)
        raise StageError(f"--precision: expected {expected}, found {given['precision']!r}")


def run(
    *,
    src: Path,
    dst: Path,
    architecture: str = "swinir",
    scale: int = 2,
    width: int = 60,
    depth: tuple[int, ...] = (6, 6, 6, 6),
    heads: int = 6,
    window: int = 8,
    upsampler: str = "pixelshuffledirect",
    steps: int = 100_000,
    batch: int = 512,
    lr: float = 2e-4,
    rows: int = 20_000,
    precision: str = "float32",
    device: str = "auto",
    seed: int = 42,
) -> None:
    """Learn to undo a loss of resolution: degrade patches by the scale, restore them.

    Args:
        src: patch file with sen2 (N, H, W, C).
        dst: weights to write, safetensors, keys as in the published files.
        architecture: "swinir".
        scale: factor on height and width, 2 to 4.
        width: features of every block, a multiple of heads (SwinIR-S 60, SwinIR-M 180).
        depth: blocks of each group.
        heads: attention heads.
        window: pixels per side of an attention window.
        upsampler: "pixelshuffledirect" (SwinIR-S) or "pixelshuffle" (SwinIR-M).
        steps: batches to learn from.
        batch: single bands of single patches in a batch.
        lr: highest learning rate of Adam.
        rows: patches to read, spread evenly over the file; 0 reads all.
        precision: "float32", or "bfloat16" for mixed precision.
        device: "auto", "cpu" or "cuda".
        seed: of the first weights and of the batches.
    """
    check(
        steps=steps, batch=batch, lr=lr, rows=rows, seed=seed, scale=scale, precision=precision
    )  # fmt: skip

    import torch

    from stages.sr_train import networks, pairs, quality, training, weights

    if weights.finished(dst):
        return
    place = weights.device(device)
    torch.manual_seed(seed)
    network = networks.build(
        architecture, scale=scale, width=width, depth=depth, heads=heads, window=window,
        upsampler=upsampler,
    )  # fmt: skip
    with patches.read(src, "sen2") as source:
        bands = pairs.bands(source, scale * window)
        known, held = pairs.load(source, bands, scale, rows)
    trainee = training.Trainee(network, known, steps=steps, batch=batch, lr=lr, seed=seed)
    training.fit(trainee, dst, place, PRECISIONS[precision])
    worth = quality.measure(network, held, bands, place)
    count = {"learned": len(known.low) // len(bands), "held_out": len(held.low) // len(bands)}
    how = {"architecture": architecture, "scale": scale, "steps": steps, "seed": seed}
    weights.save(dst, network, {**how, "patches": count, **worth})


if __name__ == "__main__":
    cli.main(run)
