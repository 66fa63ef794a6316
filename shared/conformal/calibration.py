"""The calibration of a classifier as a file: JSON with the strangeness of every row."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from shared.conformal.sets import METHODS, Method, limit, within
from shared.errors import StageError
from shared.reading import documents


@dataclass(frozen=True)
class Calibration:
    """What sets of a classifier need.

    Attributes:
        classes: (K,) names.
        method: as in `strangeness`.
        strange: (n,) strangeness of the true classes, rising.
    """

    classes: tuple[str, ...]
    method: Method
    strange: NDArray[np.float64]

    def sets(self, scores: NDArray[np.floating], coverage: float) -> NDArray[np.bool_]:
        """(…, K) which classes are in the sets of (…, K) probabilities."""
        return within(scores, limit(self.strange, coverage), self.method)


def save(path: Path, calibration: Calibration, **more: Any) -> None:
    """Write a calibration; ``more`` is stored beside it."""
    content = {
        "classes": list(calibration.classes), "method": calibration.method,
        "rows": len(calibration.strange), **more, "strangeness": calibration.strange.tolist(),
    }  # fmt: skip
    path.write_text(json.dumps(content, indent=1) + "\n")


def load(path: Path) -> Calibration:
    """Read a calibration.

    Raises:
        StageError: not such a file.
    """
    expected = f"{path}: expected a calibration that calibrate has made"
    try:
        content = documents.read_json(path)
        classes = tuple(str(name) for name in content["classes"])
        method, strange = content["method"], np.array(content["strangeness"], np.float64)
    except OSError:
        found = "a folder" if path.is_dir() else "none"
        raise StageError(f"{expected}, found {found}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = str(error).partition("\n")[0][:80] or type(error).__name__
        raise StageError(f"{expected} ({reason})") from None
    if method not in METHODS:
        raise StageError(f"{path}: method: expected one of {', '.join(METHODS)}, found {method!r}")
    rising = strange.ndim == 1 and len(strange) > 0 and bool((np.diff(strange) >= 0).all())
    if not rising or not all(map(math.isfinite, strange)):
        raise StageError(f"{path}: strangeness: expected rising numbers, one or more")
    return Calibration(classes, cast("Method", method), strange)
