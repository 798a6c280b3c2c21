"""The web server: gunicorn's processes, waitress's sockets and threads, and our deadlines.

A request gets a thread only when it has been received completely, and the thread is free again
before the client has read the answer. So a slow client takes a socket but no thread.
"""
