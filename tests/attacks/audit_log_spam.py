# Fills the kernel's audit log: each open() that Landlock denies may be logged (ABI 7), at no cost to the program.
import os


def f(x):
    n = 0
    for _ in range(20000):
        try:
            os.open(CANARY_FILE, os.O_RDONLY)
        except OSError:
            n += 1
    raise ValueError(str(n))
