"""A process that has imported the project. It forks a process for each command it receives.

A worker takes 3 s of CPU time, nearly all of it to import modules and to take them down at its end.
Forked, it takes 0.1 s. The settings come from the environment, so each environment has a process of
its own, forked from one that has imported what needs no settings. That one also forks programs
whose start is tested, each with an environment of its own.

`tests/forking.py` runs this file, and speaks to it.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import threading

LIBRARIES = (
    *("celery.__main__", "celery.bin.celery"),
    *("celery.app.amqp", "celery.app.control", "celery.app.log", "celery.apps.worker"),
    *("celery.concurrency.prefork", "celery.concurrency.thread", "celery.concurrency.solo"),
    *("celery.worker.autoscale", "celery.worker.components", "celery.worker.consumer"),
    *("celery.worker.pidbox", "celery.worker.strategy", "billiard.popen_fork"),
    *("kombu.pidbox", "kombu.transport.redis", "django.contrib.admin.options"),
    *("django.contrib.postgres.fields", "django.core.management", "django.test"),
    *("jsonschema", "PIL.Image", "rest_framework.fields", "rich.live", "structlog"),
)
"""What a worker imports and needs no settings."""

OURS = ("mainproj.celery", "mainproj.urls", "django_celery_results.backends")


def load_libraries() -> None:
    for module in LIBRARIES:
        importlib.import_module(module)
    keep()


def load() -> None:
    """Import what a worker imports."""
    import django

    django.setup()
    for module in OURS:
        importlib.import_module(module)
    from mainproj.celery import app

    # This runs the checks as well, as each worker does, which then imports nothing for them.
    app.loader.import_default_modules()
    app.finalize()
    keep()


def keep() -> None:
    """Make ready to fork with all that is loaded."""
    assert threading.active_count() == 1, "a forked process would lack the other threads"
    # The garbage collector ignores what is loaded so far. This saves 0.6 s at a process's exit.
    gc.collect()
    gc.freeze()


def serve(channel: socket.socket) -> list[str]:
    """Fork for each message: a process for a command line, or a server for an environment.

    Returns only in a forked process, with its words after `python`.
    """

    def reap(*_: object) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                tell("ended", pid, os.waitstatus_to_exitcode(status))

    def tell(what: str, pid: int, code: int = 0) -> None:
        with contextlib.suppress(BrokenPipeError):
            channel.send(json.dumps([what, pid, code]).encode())

    signal.signal(signal.SIGCHLD, reap)
    while True:
        message, fds, _, _ = socket.recv_fds(channel, 1 << 16, 2)
        if not message:
            break
        if not (pid := os.fork()):
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            channel.close()
            what = json.loads(message)
            if "environ" in what:
                os.environ.clear()
                os.environ.update(what["environ"])
            os.chdir(what.get("cwd", "."))
            look_here()
            if "words" not in what:
                load()
                return serve(socket.socket(fileno=fds[0]))
            for stream, fd in enumerate(fds, start=1):
                os.dup2(fd, stream)
                os.close(fd)
            words: list[str] = what["words"]
            return words
        for fd in fds:
            os.close(fd)
        tell("started", pid)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.wait()
            tell("ended", pid, os.waitstatus_to_exitcode(status))
    sys.exit()


def look_here() -> None:
    """Import from the working directory and `PYTHONPATH` first, as a Python that starts here."""
    more = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:1] = [os.getcwd(), *filter(None, more)]


def begin(first: str, *rest: str) -> None:
    """What Python does with the words of its command line."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.argv = [first, *rest]
    if first == "-m":
        sys.argv = [*rest]
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        exec(rest[0], {"__name__": "__main__"})
    else:
        runpy.run_path(first, run_name="__main__")


program = {"pid": 0, "code": 1}
"""The forked program: its process, and its exit code, which is 1 if Python shows an exception."""


def run(*words: str) -> None:
    program["pid"] = os.getpid()
    try:
        begin(*words)
        program["code"] = 0
    except SystemExit as exc:
        if exc.code is None or isinstance(exc.code, int):
            program["code"] = exc.code or 0
        raise


@atexit.register  # the first that is registered is called last, when all threads have ended
def leave() -> None:
    """Leave to the system what is loaded.

    Python takes it down object by object, which is a third of the time that a forked worker takes.
    """
    if os.getpid() == program["pid"]:  # and not one that the program has forked
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(program["code"])


if __name__ == "__main__":
    look_here()
    load_libraries()
    run(*serve(socket.socket(fileno=int(sys.argv[1]))))
