"""Functions and classes of Python that bodies replace.

Examples are `socket.socket = socks.socksocket`, a patch of `unittest.mock` that is never stopped, a
frozen clock, and `json.JSONEncoder.default = ...`. The list has the names that the engine, Celery
and Django use.
"""

import builtins
import concurrent.futures
import copy
import datetime
import json
import logging
import os
import pickle
import queue
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.request
import uuid
import warnings
from contextlib import suppress
from operator import itemgetter
from typing import Any

__all__ = ["OWNERS", "read_all", "write_all"]

OWNERS: tuple[tuple[Any, str], ...] = (
    (threading, "Condition Event Lock RLock Semaphore Thread Timer current_thread get_ident local"),
    (threading, "_profile_hook _trace_hook"),
    (threading.Thread, "__init__ is_alive join run start"),
    (concurrent.futures.ThreadPoolExecutor, "__init__ shutdown submit"),
    (queue, "Empty Queue SimpleQueue"),
    (time, "gmtime localtime monotonic monotonic_ns perf_counter process_time sleep strftime"),
    (time, "time time_ns tzset"),
    (datetime, "date datetime timedelta timezone"),
    (os, "_exit close environ environb fork getcwd getenv getpid getppid kill listdir open path"),
    (os, "pipe read remove rename replace stat umask unlink urandom waitpid write"),
    (signal, "alarm getitimer getsignal pthread_sigmask setitimer signal"),
    (socket, "create_connection getaddrinfo getfqdn gethostbyname gethostname socket"),
    (ssl, "SSLContext _create_default_https_context create_default_context"),
    (urllib.request, "urlopen"),
    (subprocess, "Popen check_output run"),
    (json, "JSONDecoder JSONEncoder _default_decoder _default_encoder dump dumps load loads"),
    (json.JSONEncoder, "default encode iterencode"),
    (json.JSONDecoder, "decode raw_decode"),
    (pickle, "dumps loads"),
    (copy, "copy deepcopy"),
    (re, "compile match search sub"),
    (uuid, "UUID uuid1 uuid4 uuid5"),
    (random, "choice randint random sample shuffle uniform"),
    (logging, "Formatter LogRecord Logger StreamHandler _logRecordFactory getLogger lastResort"),
    (logging, "raiseExceptions"),
    (logging.Logger, "_log callHandlers debug error exception handle info isEnabledFor log"),
    (logging.Logger, "makeRecord warning"),
    (logging.Handler, "acquire handle handleError release"),
    (logging.Formatter, "format formatException formatTime"),
    (traceback, "format_exc format_exception print_exc"),
    (warnings, "_showwarnmsg_impl showwarning warn"),
    (sys, "breakpointhook displayhook exc_info exit modules unraisablehook"),
    (tempfile, "tempdir"),
    (builtins, "__import__ isinstance len open print str"),
)
"""Modules and classes, with names of theirs."""


with suppress(FileNotFoundError):
    tempfile.gettempdir()  # else the first body to ask for it would seem to change it

_READERS = [
    (itemgetter(*names.split(), *names.split()[:1]), vars(owner)) for owner, names in OWNERS
]


def read_all() -> list[Any]:
    """What has these names now. It takes some microseconds."""
    return [get(found) for get, found in _READERS]


def write_all(before: list[Any]) -> None:
    """Give these names to what `read_all` has returned."""
    for (owner, names), values in zip(OWNERS, before, strict=True):
        found = vars(owner)
        for name, value in zip(names.split(), values, strict=False):
            if name not in found or found[name] is not value:
                setattr(owner, name, value)
