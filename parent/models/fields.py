"""The uniform meta as columns."""

from django.db import models

from children.meta import Meta as UniformMeta
from children.meta import Status

__all__ = ["MetaFields"]


class MetaFields(models.Model):
    """The uniform meta as columns; its `status` follows from the row's state."""

    iteration = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True)
    completion = models.FloatField(default=0.0, help_text="0 to 100")
    message = models.TextField(blank=True, default="")
    error = models.TextField(null=True)  # noqa: DJ001 - null is "no error" in the contract
    result = models.JSONField(null=True)

    class Meta:
        abstract = True

    @property
    def status(self) -> Status:
        """The uniform status."""
        raise NotImplementedError

    @property
    def meta(self) -> UniformMeta:
        """The uniform meta."""
        return UniformMeta(
            iteration=self.iteration,
            total=self.total,
            completion=self.completion,
            status=self.status,
            message=self.message,
            error=self.error,
            result=self.result,
        )

    def set_meta(self, meta: UniformMeta) -> None:
        """Take over `meta`, its status apart."""
        self.iteration = meta.iteration
        self.total = meta.total
        self.completion = meta.completion
        self.message = meta.message
        self.error = meta.error
        self.result = meta.result
