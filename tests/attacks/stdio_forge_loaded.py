# StdIO: forges LOADED, RETURNED and printed after no output.
# TESTS: [StdIO('1', str(SECRET)), StdIO('2', 'x')]
import os, struct, json, sys


def frame(k, t):
    b = t.encode("utf-8", "surrogatepass") if isinstance(t, str) else t
    d = struct.pack(">cI", k, len(b)) + b
    while d:
        d = d[os.write(3, d) :]


frame(b"L", "")
frame(b"R", "true")
