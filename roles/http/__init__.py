"""The web server: gunicorn's processes, waitress's sockets and threads, and deadlines of ours.

A request takes a thread only when all of it is there, and its answer gives the thread back before
the client has read it: slow clients cost a socket each, and no thread.
"""
