# Atexit, __del__ and excepthook write frames at exit.
import os, struct, json, sys


def frame(k, t):
    b = t.encode("utf-8", "surrogatepass") if isinstance(t, str) else t
    d = struct.pack(">cI", k, len(b)) + b
    while d:
        d = d[os.write(3, d) :]


import atexit

atexit.register(lambda: frame(b"R", "true"))


class D:
    def __del__(s):
        frame(b"R", "true")


d = D()
sys.excepthook = lambda *a: frame(b"R", "true")


def f(x):
    sys.exit(0)
