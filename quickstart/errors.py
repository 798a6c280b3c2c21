"""Errors that stop `up`. Each message is one sentence with its remedy."""

__all__ = [
    "AlreadyRunning",
    "BrokerUnreachable",
    "CannotMakeUser",
    "DataDirUnusable",
    "DatabaseUnusable",
    "KeepsEnding",
    "NoRedisServer",
    "PortUnusable",
    "UpError",
]


class UpError(Exception):
    """Base of this package's errors. Its text is all that a user needs to read."""


class AlreadyRunning(UpError):
    """Another `up` holds the data directory. Stop it, or choose another directory."""


class BrokerUnreachable(UpError):
    """REDIS_URL names a server that does not answer. Start it, or correct the variable."""


class DataDirUnusable(UpError):
    """The data directory cannot be made or written. Give it to this user, or choose another."""


class DatabaseUnusable(UpError):
    """The database does not answer or cannot be written. Start it, or correct DATABASE_URL."""


class KeepsEnding(UpError):
    """A program ended again and again right after its start. Its own lines say why."""


class NoRedisServer(UpError):
    """No redis-server is on this machine. Install one, or name one with REDIS_URL."""


class PortUnusable(UpError):
    """The web server's port is taken or not allowed. Choose another one."""


class CannotMakeUser(UpError):
    """The project's model of users needs what `up` does not know."""
