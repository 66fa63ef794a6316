"""`make new-stage`: write a stage that passes the contract tests, for a person to go on from."""
