"""Children in a worker's main process: their requests, and the wake-up of its event loop."""
