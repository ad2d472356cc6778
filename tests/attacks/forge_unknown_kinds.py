# Sends frames of all 256 kinds, printed/skipped included.
import os, struct, json, sys


def frame(k, t):
    b = t.encode("utf-8", "surrogatepass") if isinstance(t, str) else t
    d = struct.pack(">cI", k, len(b)) + b
    while d:
        d = d[os.write(3, d) :]


frame(b"L", "")
for i in range(256):
    frame(bytes([i]), "passed")
f = lambda x: 0
