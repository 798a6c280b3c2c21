"""The watch: what a tick does about everything that is queued or running."""
