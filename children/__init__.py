"""Children: Celery tasks that report their progress in one uniform format.

from children import child_task

@child_task(name="shop.resize")
def resize(progress, paths):
    for path in progress.track(paths, message="Resizing"):
        ...
"""

from children.decorator import child_task
from children.errors import AttemptLost, ChildError
from children.meta import Meta, Status
from children.progress import Progress
from children.task import ChildTask

__all__ = ["AttemptLost", "ChildError", "ChildTask", "Meta", "Progress", "Status", "child_task"]
