# Frames without end, at once.
import os, struct, json, sys


def frame(k, t):
    b = t.encode("utf-8", "surrogatepass") if isinstance(t, str) else t
    d = struct.pack(">cI", k, len(b)) + b
    while d:
        d = d[os.write(3, d) :]


d = (struct.pack(">cI", b"L", 0) + struct.pack(">cI", b"R", 4) + b"true") * 5000
while 1:
    os.write(3, d)
