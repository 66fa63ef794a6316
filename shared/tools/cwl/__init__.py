"""The stages in the Common Workflow Language: a description of each, and a workflow of two."""
