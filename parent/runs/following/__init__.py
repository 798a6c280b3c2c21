"""What goes on after an end: the next child in this process, the next run in line, the canvas."""
