# Forged E frames with 5 MB of text and terminal escapes become details.
import os, struct, json, sys


def frame(k, t):
    b = t.encode("utf-8", "surrogatepass") if isinstance(t, str) else t
    d = struct.pack(">cI", k, len(b)) + b
    while d:
        d = d[os.write(3, d) :]


frame(b"L", "")
for i in range(3):
    frame(b"E", "\x1b[2J" * 1000000)
while 1:
    pass
