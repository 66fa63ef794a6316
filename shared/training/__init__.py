"""Training on torch and Lightning, for the stages that train. The contract never imports it."""

from shared.training.groups import (
    Augment,
    Descent,
    Ensemble,
    Interpolation,
    Machine,
    Network,
    Optimiser,
    Pixels,
    Plan,
    Sampling,
    Schedule,
    Seed,
    Validation,
)

__all__ = [
    "Augment", "Descent", "Ensemble", "Interpolation", "Machine", "Network", "Optimiser", "Pixels",
    "Plan", "Sampling", "Schedule", "Seed", "Validation", "ensemble", "member", "members",
    "networks", "students", "trained",
]  # fmt: skip
