"""Networks that super-resolve across sensors, by name, and how far each of them sees. Needs torch.

EDSR and the reader of weights are those of `shared/sr/networks`, which need spandrel.
"""

from shared.sisr_networks.building import FORMS, Enlarger, build, check, load_weights

__all__ = [
    "FORMS", "Enlarger", "build", "building", "carn", "check", "discriminators", "edsr", "layers",
    "load_weights", "rrdb",
]  # fmt: skip
