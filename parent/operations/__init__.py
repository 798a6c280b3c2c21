"""What operators ask for: health, doctor's findings, safe migrations."""
