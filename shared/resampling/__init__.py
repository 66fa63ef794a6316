"""How values between the centres of pixels are found. Needs numpy alone."""

__all__ = ["cubic"]
