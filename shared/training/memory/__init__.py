"""What a training step takes of memory, and how it takes less."""

__all__ = ["footprint", "recompute", "recording"]
