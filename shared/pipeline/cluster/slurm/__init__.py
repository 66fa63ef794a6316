"""Jobs in the queue of Slurm: what is submitted, what became of it, and what is done again."""

__all__ = ["commands", "following", "ledger", "submission"]
