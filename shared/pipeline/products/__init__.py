"""The products of a source, by kind; `shared.pipeline.plan` puts them together."""

__all__ = ["chain", "ensembles", "students", "super_resolution", "sweep"]
