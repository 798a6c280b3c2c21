"""The monitor: what people and programs see of the runs. It reads rows, and decides nothing."""
