"""From what a product was made, back to the files that people provided: PROV-JSON and a picture."""

__all__ = ["chain"]
