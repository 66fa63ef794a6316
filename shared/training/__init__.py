"""Training on torch and Lightning, for the stages that train. The contract never imports it."""

__all__ = ["cost", "ensemble", "networks", "results", "settings"]
