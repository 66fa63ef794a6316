"""Whether a second build, from other files at another time, gives the image that is there.

`make verify-images`: `rebuild` makes the second image, `tree` reads both as the engine hands their
files over, without unpacking them, and `main` tells what differs. Standard library only.
"""

__all__: list[str] = []
