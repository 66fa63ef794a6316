"""Where real sample data lies: $LCZ42_SAMPLES, or shared/data beside the checkout."""

import os
from pathlib import Path

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
SAMPLES = Path(os.environ.get("LCZ42_SAMPLES", BESIDE))
