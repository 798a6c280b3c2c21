"""An example of schedules: tasks that come by themselves, and never twice at a time."""
