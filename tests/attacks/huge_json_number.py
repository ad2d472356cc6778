# JSON numbers of millions of digits, floats too.
import os, struct, json, sys


def frame(k, t):
    b = t.encode("utf-8", "surrogatepass") if isinstance(t, str) else t
    d = struct.pack(">cI", k, len(b)) + b
    while d:
        d = d[os.write(3, d) :]


frame(b"L", "")
frame(b"R", "1" * 8000000)
frame(b"R", "1." + "9" * 8000000)
frame(b"R", '{"float":"' + "1_" * 4000000 + '1e-4000000"}')
while 1:
    pass
