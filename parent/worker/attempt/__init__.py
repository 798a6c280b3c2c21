"""The parts of a running attempt: its claim, and its reports: when each is stored, and how."""
