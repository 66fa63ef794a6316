"""The contract every stage is built on: command line, record, patch files, shards, classes."""
