"""Keys' cubic convolution with a = -1/2, which GDAL calls cubic and So2Sat was made with.

Source: R. Keys, Cubic convolution interpolation for digital image processing, 1981.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def weigh(far: Any) -> NDArray[np.float64]:
    """Weights of samples at these distances, in samples, from where a value is wanted.

    Args:
        far: (…) distances of either sign.

    Returns:
        (…) weights; 0 from a distance of 2 on. Those of all samples of a place add up to 1.
    """
    far = np.abs(np.asarray(far, np.float64))
    inner = 1.5 * far**3 - 2.5 * far**2 + 1
    outer = -0.5 * far**3 + 2.5 * far**2 - 4 * far + 2
    return np.where(far < 1, inner, np.where(far < 2, outer, 0.0))
