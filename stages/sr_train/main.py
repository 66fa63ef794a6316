"""Weights for a super-resolution network, learned from one's own Sentinel-2 patches."""

from pathlib import Path

from shared import cli, patches
from shared.errors import StageError
from shared.sr import options
from stages.sr_train import methods

PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}


def check(**given: float | str) -> None:
    """Refuse numbers and words outside their range before anything is read."""
    for name in ("steps", "batch", "lr"):
        if float(given[name]) <= 0:
            raise StageError(f"--{name}: expected more than 0, found {given[name]}")
    for name in ("width", "rows", "seed", "heads", "window", "adversarial"):
        if float(given[name]) < 0:
            raise StageError(f"--{name}: expected 0 or more, found {given[name]}")
    if given["precision"] not in PRECISIONS:
        expected = " or ".join(PRECISIONS)
        raise StageError(f"--precision: expected {expected}, found {given['precision']!r}")


def run(
    *,
    src: Path,
    dst: Path,
    method: str = "swinir",
    scale: int = 2,
    width: int = 0,
    depth: tuple[int, ...] = (),
    heads: int = 0,
    window: int = 0,
    upsampler: str = "",
    steps: int = 100_000,
    batch: int = 512,
    lr: float = 2e-4,
    adversarial: float = 0.0,
    rows: int = 20_000,
    precision: str = "float32",
    device: str = "auto",
    seed: int = 42,
) -> None:
    """Learn to undo a loss of resolution: degrade patches by the scale, restore them.

    Args:
        src: patch file with sen2 (N, H, W, C).
        dst: weights to write, safetensors, keys as in the published files.
        method: "vdsr", "edsr", "esrgan", "swinir", "bsrnet" or "realesrgan".
        scale: factor on height and width that the network undoes.
        width: features of a layer; 0 is the published size (64; SwinIR-S 60, SwinIR-M 180).
        depth: middle layers of vdsr, residual blocks of edsr (16), esrgan, bsrnet and realesrgan,
            blocks of each group of swinir; none given is the published size.
        heads: attention heads of swinir; 0 is 6.
        window: pixels per side of an attention window of swinir; 0 is 8.
        upsampler: of swinir, "pixelshuffledirect" (SwinIR-S) or "pixelshuffle" (SwinIR-M).
        steps: batches to learn from.
        batch: single bands of single patches in a batch; for esrgan, three bands together.
        lr: highest learning rate of Adam.
        adversarial: weight of the adversarial loss beside L1, for esrgan and realesrgan; 0 is none.
        rows: patches to read, spread evenly over the file; 0 reads all.
        precision: "float32", or "bfloat16" for mixed precision.
        device: "auto", "cpu" or "cuda".
        seed: of the first weights and of the batches.
    """
    check(
        steps=steps, batch=batch, lr=lr, width=width, rows=rows, seed=seed, heads=heads,
        window=window, adversarial=adversarial, precision=precision,
    )  # fmt: skip
    way = methods.choose(method, scale, adversarial)
    given = methods.Size(width, depth, heads, window, upsampler)
    size = methods.sizes(method, given)
    options.check(scale=scale, batch=batch, device=device, precision=precision, scales=way.scales)

    import torch

    from shared.sr import forward
    from stages.sr_train import adversary, bundles, keeper, networks, pairs, quality, weights

    if weights.finished(dst):
        return
    place = forward.place(device)
    with patches.read(src, "sen2") as source:
        names = pairs.names(source, scale * (size.window or 8))
        gather = bundles.gather(src, way.channels, names)
        known, held = pairs.load(source, names, scale, rows, gather)
    torch.manual_seed(seed)
    network = networks.build(method, scale, size)
    trainee = adversary.trainee(
        network, known, adversarial, steps=steps, batch=batch, lr=lr, seed=seed
    )
    keeper.fit(trainee, dst, place, PRECISIONS[precision])
    worth = quality.measure(bundles.restorer(network, way.channels, names, place), held, names)
    count = {"learned": len(known.low) // len(gather(held.low[:1])), "held_out": len(held.low)}
    facts = {"method": method, "scale": scale, **size.facts(), "steps": steps, "seed": seed,
             "adversarial": adversarial, "patches": count, **worth}  # fmt: skip
    weights.save(dst, weights.spelled(method, scale, size.depth, network), facts)


if __name__ == "__main__":
    cli.main(run)
