"""The measurements of tests.bench.sr as Markdown."""

from collections.abc import Iterable
from typing import Any

Figures = dict[str, Any]
HEAD = """# Super-resolution: the reference way and ours

`make bench-sr` on {processor}, {cores} cores ({units}); {patches}; load average at the start
{load:.1f}.

Seconds for one patch of ten bands, 32 × 32. The reference way: the plain network of its library in
float32, contiguous, one call of batch 1 for each band, copied into three equal channels where the
network has three (ESRGAN: one call for each of four triplets). Ours: all that the stage does
between reading and writing. Reference and ours take turns in one process; medians. On a GPU ours
gets as many patches as fill a call.

Weights are random, in the layout and size of the published ones, the last layer scaled so that an
image's contrast comes out. The machine's limit is the better of a matrix product and a 64-channel
3 × 3 convolution, measured beside it, in GFLOP/s; the share counts the plain network's operations.
PSNR compares the reduced precision with float32, peak 1, in units of each band's own range and in
reflectance. Memory is the peak of a process of its own for one patch; on a CPU Python and torch are
in it.
"""


def rows(head: list[str], lines: Iterable[list[str]]) -> str:
    """A Markdown table."""
    every = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in every) + "\n"


def precisions(case: Figures) -> list[str]:
    """Those of ours, in the order of the columns."""
    return [name for name in case["seconds"] if name != "reference"]


def speed(cases: dict[str, Figures]) -> str:
    """Seconds, how many times as fast, and the share of the limit."""
    kinds = precisions(next(iter(cases.values())))
    head = ["network", "GFLOP", "reference s"]
    for kind in kinds:
        head += [f"{kind} s", "×", "of limit"]
    lines = []
    for name, case in cases.items():
        spent = case["seconds"]
        line = [name, f"{case['gflop']:.0f}", f"{spent['reference']:.4g}"]
        for kind in kinds:
            share = case["gflop"] / spent[kind] / case["limit"][kind]
            line += [f"{spent[kind]:.3g}", f"**{spent['reference'] / spent[kind]:.1f}**"]
            line += [f"{100 * share:.0f} % of {case['limit'][kind]:.0f}"]
        lines.append(line)
    return rows(head, lines)


def errors(cases: dict[str, Figures]) -> str:
    """What reduced precision and folding change."""
    kinds = [name for name in precisions(next(iter(cases.values()))) if name != "float32"]
    head = ["network", "largest difference of ours, float32, from the reference"]
    for kind in kinds:
        head += [f"{kind}: PSNR dB of the range", "of reflectance"]
    lines = []
    for name, case in cases.items():
        line = [name, f"{case['difference']:.1e}"]
        for kind in kinds:
            error = case["errors"][kind]
            line += [f"{error['psnr_unit']:.1f}", f"{error['psnr_reflectance']:.1f}"]
        lines.append(line)
    return rows(head, lines)


def memory(cases: dict[str, Figures], device: str) -> str:
    """Peak MB, and on a CPU how much of it came with the patches."""
    kinds = list(next(iter(cases.values()))["memory"])
    lines = []
    for name, case in cases.items():
        line = [name]
        for kind in kinds:
            had = case["memory"][kind]
            more = had["peak_mb"] - had["loaded_mb"]
            gpu = f"{had['gpu_mb']:.0f}"
            line.append(gpu if device == "cuda" else f"{had['peak_mb']:.0f} (+{more:.0f})")
        lines.append(line)
    what = "GPU MB" if device == "cuda" else "MB (with the patches)"
    return rows(["network", *(f"{kind}, {what}" for kind in kinds)], lines)


def storage(measured: Figures) -> str:
    """Formats, and the way through a network with and without threads."""
    head = ["type", "compression", "kB a patch", "write ms", "read ms", "largest rounding"]
    lines = [
        [
            line["type"], line["compression"], f"{line['kb']:.1f}", f"{line['write_ms']:.2f}",
            f"{line['read_ms']:.2f}", f"{line['largest_error']:.1e}",
        ]
        for line in measured["formats"]
    ]  # fmt: skip
    times = ", ".join(f"{name} {value:.2f} ms" for name, value in measured["stream"].items())
    return (
        "## Storage\n\n36 patches enlarged ×2 (bicubic), files in the page cache, per patch; "
        f"reflectance is what is rounded.\n\n{rows(head, lines)}\n"
        f"Read, compute and write with a small network, per patch: {times}.\n"
    )


def page(result: Figures) -> str:
    """All of it."""
    machine = result["machine"]
    units = ", ".join(machine["units"]) or "no known units"
    parts = [HEAD.format(**machine | {"units": units, "patches": result["patches"]})]
    for device in ("cpu", "cuda"):
        cases = {
            name: devices[device] for name, devices in result["cases"].items() if device in devices
        }
        if cases:
            some = next(iter(cases.values()))
            title = some["gpu"] or f"CPU, threads: {some['threads']}"
            parts += [f"## {title}\n", speed(cases), errors(cases), memory(cases, device)]
    if result["storage"]:
        parts.append(storage(result["storage"]))
    return "\n".join(parts)
