# Reopens its own pipes by /proc/self/fd and /dev/fd to steal what it wrote, so that the supervisor's read blocks.
import os


def f(x):
    out = []
    for path in (
        "/proc/self/fd/1",
        "/dev/fd/1",
        "/dev/stdout",
        "/proc/thread-self/fd/3",
        "/proc/self/mem",
        "/proc/self/environ",
        "/proc/self/cwd/../..",
    ):
        try:
            out.append(os.open(path, os.O_RDWR | os.O_NONBLOCK))
        except OSError as e:
            out.append(e.errno)
    raise ValueError(repr(out))
