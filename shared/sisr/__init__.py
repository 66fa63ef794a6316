"""Super-resolution across sensors: pair files, point spreads, agreement, metrics.

A pair file is a patch file (`shared/patches`) whose rows have the same land as `low` and as `high`.
Formats: shared/README.md. Needs scipy; `sessions` also onnx and onnxruntime.
"""

from shared.sisr import cards, fidelity, frequency, venus
from shared.sisr.agreement import correlate, sum_values
from shared.sisr.form import (
    IMAGES,
    LEFT_OUT,
    NODATA,
    PER_UNIT,
    SPLITS,
    Bands,
    Form,
    constants,
    fields,
)
from shared.sisr.pairs import Pairs
from shared.sisr.psf import SENTINEL2_MTF, apply, downscale, enlarge, spread, weigh

__all__ = [
    "IMAGES", "LEFT_OUT", "NODATA", "PER_UNIT", "SENTINEL2_MTF", "SPLITS", "Bands", "Form",
    "Pairs", "apply", "cards", "constants", "correlate", "downscale", "enlarge", "fidelity",
    "fields", "frequency", "sessions", "spread", "sum_values", "venus", "weigh",
]  # fmt: skip
