"""What the page of a run shows of its steps, beside their bars."""
