"""What an attempt stores beside its progress: the checkpoint, and what the body logs."""
