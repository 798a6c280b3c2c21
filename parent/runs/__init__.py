"""A run's life: start, transitions, attempts, endings, cancel and retry."""
