"""What the progress reporter keeps beside the bar."""
