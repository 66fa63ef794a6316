"""bench-map: the count of what overlapping windows share, by hand."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venvs" / "map" / "bin" / "python"


@pytest.mark.skipif(not PYTHON.exists(), reason="no .venvs/map: make .venvs/map")
def test_windows_share_what_no_padding_reaches() -> None:
    """The first layer alone: of 32 x 32 places the inner 30 x 30 are shared."""
    code = (
        "from tests.bench import map_networks as m; m.STAGES20 = (); "
        "print(m.count_shared(1), m.count_shared(10), m.count_shared(40))"
    )
    done = subprocess.run([PYTHON, "-c", code], cwd=ROOT, capture_output=True, text=True)
    weights = 9 * 10 * 16
    ring = 32**2 - 30**2
    expected = [(weights * 1024, weights * (ring + places)) for places in (1, 100, 900)]
    assert done.stdout.split("\n")[0] == " ".join(map(str, expected)), done.stderr
