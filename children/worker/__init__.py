"""What concerns children in a worker's main process: their requests, and waking its event loop."""
