"""The products of a source, by kind; `shared.pipeline.plan` puts them together."""

__all__ = [
    "aerial",
    "audits",
    "chain",
    "ensembles",
    "maps",
    "sensors",
    "students",
    "super_resolution",
    "sweep",
]
