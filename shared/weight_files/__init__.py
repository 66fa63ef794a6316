"""Files of weights as people have them, read without torch and without running anything in them.

`reader` is the door for most: a path to arrays by name. `backend.weights` makes tensors of them.
"""

__all__ = ["keys", "reader", "safetensors_file", "stored"]
