"""The parameters of a run and the inputs of its steps: validation, limits, what is secret."""
