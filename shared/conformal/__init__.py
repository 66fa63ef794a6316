"""Prediction sets that hold the true class as often as was promised (split conformal prediction).

Scores of rows that no network was trained on say how unlikely a true class may look; a set holds
all classes that look no less likely. Vovk et al. 2005, "Algorithmic learning in a random world".
"""

from shared.conformal.calibration import Calibration, load, save
from shared.conformal.coverage import Coverage, bounds, leave_one_out
from shared.conformal.sets import METHODS, Method, limit, strangeness, within

__all__ = [
    "METHODS", "Calibration", "Coverage", "Method", "bounds", "leave_one_out", "limit", "load",
    "save", "strangeness", "within",
]  # fmt: skip
