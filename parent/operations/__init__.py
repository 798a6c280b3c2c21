"""For operators: health probes, the doctor's findings, safe migrations."""
