# Sends READY bytes and a second LOADED.
import os, struct, json, sys


def frame(k, t):
    b = t.encode("utf-8", "surrogatepass") if isinstance(t, str) else t
    d = struct.pack(">cI", k, len(b)) + b
    while d:
        d = d[os.write(3, d) :]


os.write(3, b"!")
frame(b"L", "")
frame(b"!", "")
f = lambda x: 0
