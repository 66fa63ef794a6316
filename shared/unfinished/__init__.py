"""What a run keeps beside an unfinished product: what was written, and who works on it.

Standard library. `work` tells what an interrupted run wrote from what was damaged since, `holders`
a run that is alive on another machine from one that is dead; `locks` lets one run alone go on.
"""

__all__ = ["holders", "locks", "work"]
