# 1000 long tuples with the same hash: below the threshold, but every comparison is long.
import os, struct, json, sys


def frame(k, t):
    b = t.encode("utf-8", "surrogatepass") if isinstance(t, str) else t
    d = struct.pack(">cI", k, len(b)) + b
    while d:
        d = d[os.write(3, d) :]


P = (1 << 61) - 1
frame(b"L", "")
b = "1e0," * 1900
frame(b"R", '{"set":[' + ",".join('{"tuple":[' + b + str(k * P) + "]}" for k in range(1000)) + "]}")
while 1:
    pass
