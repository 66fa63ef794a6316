"""One network in several processes, whatever started them."""

__all__ = ["distributed", "launchers"]
