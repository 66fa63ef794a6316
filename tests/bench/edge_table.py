"""What tests.bench.edge measured, as figures and as Markdown."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.export import inference
from stages.export.metis_rules import VERSIONS
from tests.bench import table

# Axelera's model zoo, SDK 1.6: images a second on the PCIe card and on M.2, points of top-1 lost to
# INT8 on ImageNet. Their streaming pipeline on four cores of the accelerator, not one call.
PUBLISHED = {
    "resnet18": (3904, 3749, 0.36), "mobilenetv4_conv_medium": (2517, 2395, 0.90),
    "efficientnet_b0": (1429, 1450, 1.12),
}  # fmt: skip
ENDS = (50, 90, 99, 99.9)
HEAD = """# Students on a CPU, beside the accelerator's published numbers

`make bench-edge` on {hardware}; onnxruntime {onnxruntime}; load average at the start {load:.1f}.

Networks with random weights and 17 classes, as `export` writes them. FP32 and INT8 take turns in
one process. Percentiles are of calls with one row; jitter is the mean difference between one call
and the next; rows a second are of calls with 1, 8 and 32 rows, by the median. Energy is that of the
whole processor package, by its own counters (RAPL), per row of calls with one row; a dash where
they cannot be read. The share of the MACs that Metis accelerates is by the lint of `export`, for
each release whose rules it has. The last columns are Axelera's for ImageNet and SDK 1.6, images a
second through their streaming pipeline on PCIe and M.2 cards, and points of top-1 lost to INT8:
another measurement, on another machine.
"""


def distribution(times: NDArray[np.float64]) -> dict[str, float]:
    """Of (N,) times in ms, in their order: percentiles and jitter, by name.

    Jitter is the mean difference between one call and the next, whichever is longer.
    """
    ends = zip(ENDS, np.percentile(times, ENDS).tolist(), strict=True)
    jitter = float(np.abs(np.diff(times)).mean()) if len(times) > 1 else 0.0
    return {f"p{end:g}_ms": ms for end, ms in ends} | {"jitter_ms": jitter}


def page(result: dict[str, Any]) -> str:
    """The measurements as Markdown."""
    head = ["student", "network", "threads", "MB", "calls", "p50 ms"]
    head += [*(f"p{end:g}" for end in ENDS[1:]), "jitter ms"]
    head += [f"rows/s at {rows}" for rows in inference.BATCHES]
    head += ["mJ a row", f"MACs accelerated by {' / '.join(VERSIONS)}, %"]
    head += ["Metis PCIe / M.2, published", "INT8 loss, published"]
    lines = []
    for name, case in result["students"].items():
        card, module, loss = PUBLISHED.get(name, (None, None, None))
        for line in case["lines"]:
            cells = [f"{name}, {case['side']}", line["kind"], str(line["threads"])]
            cells += [f"{line['mb']:.1f}", str(line["runs"])]
            cells += [f"{line[f'p{end:g}_ms']:.2f}" for end in ENDS]
            cells += [f"{line['jitter_ms']:.3f}"]
            cells += [f"{speed:.0f}" for speed in line["rows_per_second"].values()]
            cells += ["–" if line["joules"] is None else f"{1e3 * line['joules']:.1f}"]
            cells += [" / ".join(describe_shares(case["accelerated"], case["refusals"]))]
            cells += ["–", "–"] if card is None else [f"{card} / {module}", f"{loss:.2f}"]
            lines.append(cells)
    notes = [
        f"{name}: Metis {version} does not compile it, {count} refusals"
        for name, case in result["students"].items()
        for version, count in case["refusals"].items() if count
    ]  # fmt: skip
    return "\n".join([HEAD.format(**result), table.rows(head, lines), *notes]) + "\n"


def describe_shares(shares: dict[str, float | None], refusals: dict[str, int]) -> list[str]:
    """What Metis accelerates by release: percent, "refused", or a dash where nothing is counted."""
    texts = []
    for version, share in shares.items():
        said = "–" if share is None else f"{100 * share:.1f}"
        texts.append("refused" if refusals[version] else said)
    return texts
