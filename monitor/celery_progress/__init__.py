"""For pages that were written for celery-progress: its URLs and its JSON, for our runs too."""
