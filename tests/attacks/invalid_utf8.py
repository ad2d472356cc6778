# 8 MB of invalid UTF-8 in E frames: six bytes of JSON each.
import os, struct, json, sys


def frame(k, t):
    b = t.encode("utf-8", "surrogatepass") if isinstance(t, str) else t
    d = struct.pack(">cI", k, len(b)) + b
    while d:
        d = d[os.write(3, d) :]


frame(b"L", "")
for i in range(2):
    frame(b"E", b"\xff" * (8 << 20))
while 1:
    pass
