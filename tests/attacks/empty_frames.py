# Unknown empty frames for a hundred tests.
# TESTS: [Call((i,), SECRET) for i in range(100)]
import os, struct, json, sys


def frame(k, t):
    b = t.encode("utf-8", "surrogatepass") if isinstance(t, str) else t
    d = struct.pack(">cI", k, len(b)) + b
    while d:
        d = d[os.write(3, d) :]


frame(b"L", "")
d = (struct.pack(">cI", b"?", 0)) * 5000
while 1:
    os.write(3, d)
