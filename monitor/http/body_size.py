"""How large a body may be. The web server checks it before it reads one, and Django again."""

from django.conf import settings

from monitor.conf import max_upload_bytes

__all__ = ["largest"]


def largest(content_type: str) -> int:
    """The most bytes that a body of this `Content-Type` may have; more if it may carry files."""
    media_type = content_type.partition(";")[0].strip().lower()
    most: int | None = settings.DATA_UPLOAD_MAX_MEMORY_SIZE  # None: Django has no limit
    if most is None or media_type == "multipart/form-data":
        return max_upload_bytes()
    return most
