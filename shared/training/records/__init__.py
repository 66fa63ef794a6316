"""What training leaves: scores and pictures, event files, and what a network costs."""

__all__ = ["cost", "events", "profiles", "results"]
