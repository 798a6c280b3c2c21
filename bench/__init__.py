"""The figures: what this service costs, beside what it is measured against, from one run."""
