# Frame length 2**32-1.
import os, struct, json, sys


def frame(k, t):
    b = t.encode("utf-8", "surrogatepass") if isinstance(t, str) else t
    d = struct.pack(">cI", k, len(b)) + b
    while d:
        d = d[os.write(3, d) :]


os.write(3, b"L" + b"\0" * 4)
os.write(3, b"R" + b"\xff" * 4 + b"x")
f = lambda x: 0
