# A million nested lists, tags, tuples.
import os, struct, json, sys


def frame(k, t):
    b = t.encode("utf-8", "surrogatepass") if isinstance(t, str) else t
    d = struct.pack(">cI", k, len(b)) + b
    while d:
        d = d[os.write(3, d) :]


frame(b"L", "")
frame(b"R", "[" * 4000000)
frame(b"R", '{"tuple":[' * 400 + "]}" * 400)
frame(b"R", "[[[[[" * 180 + "]]]]]" * 180)
while 1:
    pass
