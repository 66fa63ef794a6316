"""The one exception a stage raises for what its caller can mend."""


class StageError(Exception):
    """The caller's mistake: shown as one line ``error: where: expected, found``; exit code 2."""
