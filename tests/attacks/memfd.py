# Fills memory by way of a file in memory.
import os


def f(x):
    file = os.memfd_create("x")
    while True:
        os.write(file, b"x" * (1 << 20))
