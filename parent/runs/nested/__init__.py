"""Child runs: a step that is a run of another workflow."""
