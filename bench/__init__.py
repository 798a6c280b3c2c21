"""Measures what this service costs, beside what it is compared with, in one run."""
