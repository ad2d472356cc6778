# Read locks on files of Python's library.
import fcntl, os


def f(x):
    file = open(os.__file__)
    fcntl.lockf(file, fcntl.LOCK_SH)
    return 0
