# The name of an opaque value holds a lone surrogate, which kills print(detail).
import os, struct, json, sys


def frame(k, t):
    b = t.encode("utf-8", "surrogatepass") if isinstance(t, str) else t
    d = struct.pack(">cI", k, len(b)) + b
    while d:
        d = d[os.write(3, d) :]


frame(b"L", "")
for i in range(3):
    frame(b"R", '{"opaque":"\\ud800\\u001b[2J"}')
while 1:
    pass
