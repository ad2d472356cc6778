# Set() over tuples that hide colliding parts.
# TESTS: [Check(f'assert set(f(1)) == {{{SECRET}}}')]
import os, struct, json, sys


def frame(k, t):
    b = t.encode("utf-8", "surrogatepass") if isinstance(t, str) else t
    d = struct.pack(">cI", k, len(b)) + b
    while d:
        d = d[os.write(3, d) :]


P = (1 << 61) - 1
n = 60000
frame(b"L", "")
frame(
    b"R",
    "[["
    + ",".join('{"tuple":[' + str(k) + "]}" for k in range(1, n))
    + ","
    + ",".join('{"tuple":[' + str(k * P) + "]}" for k in range(1, n))
    + "]]",
)
while 1:
    pass
