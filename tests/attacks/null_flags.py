# Leaves O_APPEND and O_NONBLOCK on the shared description of /dev/null (descriptors 0 and 2) for the next program (2 bits).
# CHANNEL: 4
import fcntl, os

if ROLE == "write":
    bits = MESSAGE & 3
    fcntl.fcntl(2, fcntl.F_SETFL, (os.O_APPEND if bits & 1 else 0) | (os.O_NONBLOCK if bits & 2 else 0))


def f(x):
    flags = fcntl.fcntl(2, fcntl.F_GETFL)
    return (1 if flags & os.O_APPEND else 0) | (2 if flags & os.O_NONBLOCK else 0)
