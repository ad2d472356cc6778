# Atexit, __del__ and excepthook write frames at exit.
import sys


import atexit

atexit.register(lambda: frame(b"R", "true"))


class D:
    def __del__(s):
        frame(b"R", "true")


d = D()
sys.excepthook = lambda *a: frame(b"R", "true")


def f(x):
    sys.exit(0)
