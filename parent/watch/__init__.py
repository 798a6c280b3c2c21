"""The watch loop: it supervises everything that is queued or running."""
