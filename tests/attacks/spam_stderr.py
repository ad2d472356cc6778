# Writes to the trainer's standard error and output by descriptors 1 and 2 and the terminal.
import os


def f(x):
    n = 0
    for fd in (0, 1, 2):
        n += os.write(fd, b"SPAM" * 1000)
    try:
        n += open("/dev/tty", "w").write("SPAM")
    except OSError as e:
        n = (n, e.errno)
    raise ValueError(repr(n))
