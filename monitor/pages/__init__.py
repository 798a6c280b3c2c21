"""The pages that people see: catalogue, start form, runs, one run."""
