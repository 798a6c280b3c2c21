"""The secret key: given; on one machine made once and kept in the data directory."""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

__all__ = ["secret_key"]


def secret_key(given: str, data_dir: Path, *, make: bool) -> str:
    """The given key, or the one in the data directory.

    Args:
        make: whether to make one there.

    Raises:
        ImproperlyConfigured: there is none.
    """
    if given:
        return given
    if make or (data_dir / "secret_key").exists():
        return _local_secret_key(data_dir)
    raise ImproperlyConfigured(
        "SECRET_KEY is not set, and it has no default. Write, for example, SECRET_KEY=$(openssl "
        "rand -base64 48), the same for all processes; on your own machine LOCAL=on makes one."
    )


def _local_secret_key(data_dir: Path) -> str:
    """Return the key in `data_dir/secret_key`, making it on first use (mode 0600).

    Raises:
        ImproperlyConfigured: the directory cannot be written and no `SECRET_KEY` is set, or the
            file has no key in it.
    """
    path = data_dir / "secret_key"
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Write a draft and link it into place: two processes that start at once get the same
        # key, and neither reads a half-written one.
        if not path.exists():
            draft = data_dir / f".secret_key.{os.getpid()}"
            draft.touch(mode=0o600)
            draft.write_text(get_random_secret_key())
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return _key_in(path)
    except OSError as exc:
        raise ImproperlyConfigured(
            f"The data directory {data_dir} cannot be used ({exc.strerror}): "
            "make it writable, or set DATA_DIR to another one, or set SECRET_KEY."
        ) from exc


def _key_in(path: Path) -> str:
    try:
        key = path.read_text()
    except UnicodeDecodeError:
        key = ""
    if not key.strip():  # a full disk may have left it so
        raise ImproperlyConfigured(
            f"{path} has no key in it: remove it, and a new one is made, or set SECRET_KEY."
        )
    return key
