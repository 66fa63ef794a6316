"""The life of a product: its inputs, lock, record, processes and environment."""

__all__ = [
    "environment",
    "fingerprints",
    "input_files",
    "linked_files",
    "lock",
    "processes",
    "production",
    "record",
    "signals",
]
