"""The admin pages. Django imports this package, and its modules register their pages."""

from parent.admin import limits, notifications, runs, schedules

__all__ = ["limits", "notifications", "runs", "schedules"]
