"""What goes on after an end: the next child in this process, and the canvas."""
