"""Accidents: kills, volumes that fail, damaged files, other nodes; each stage afterwards whole."""
