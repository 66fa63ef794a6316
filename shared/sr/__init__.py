"""What super-resolution stages share: bands in and out, weights, the way through a network."""

__all__ = ["bands", "forward", "methods", "options", "stream", "triplets", "wald"]
