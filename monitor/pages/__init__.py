"""The HTML pages: catalogue, start form, runs, one run."""
