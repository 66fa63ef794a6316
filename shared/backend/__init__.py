"""What every stage needs from torch: the device, the precision and the reader of weights."""

__all__ = ["devices", "weights"]
