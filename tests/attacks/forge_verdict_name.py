# RETURNED text that is a verdict name or a whole record.
import os, struct, json, sys


def frame(k, t):
    b = t.encode("utf-8", "surrogatepass") if isinstance(t, str) else t
    d = struct.pack(">cI", k, len(b)) + b
    while d:
        d = d[os.write(3, d) :]


frame(b"L", "")
for t in ('"passed"', '["returned","true",0]', '[["returned","true",0]]'):
    frame(b"R", t)
while 1:
    pass
