# A set of ints half of which share one hash: refuse_collisions lets a half through, quadratic.
import os, struct, json, sys


def frame(k, t):
    b = t.encode("utf-8", "surrogatepass") if isinstance(t, str) else t
    d = struct.pack(">cI", k, len(b)) + b
    while d:
        d = d[os.write(3, d) :]


P = (1 << 61) - 1
n = 150000
frame(b"L", "")
frame(b"R", '{"set":[' + ",".join(map(str, range(1, n))) + "," + ",".join(str(k * P) for k in range(1, n)) + "]}")
while 1:
    pass
