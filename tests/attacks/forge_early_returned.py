# Forges RETURNED before LOADED.
import os, struct, json, sys


def frame(k, t):
    b = t.encode("utf-8", "surrogatepass") if isinstance(t, str) else t
    d = struct.pack(">cI", k, len(b)) + b
    while d:
        d = d[os.write(3, d) :]


for i in range(4):
    frame(b"R", "true")
f = lambda x: 0
