"""What children log: kept with the attempt that wrote it, and read while it goes on."""
