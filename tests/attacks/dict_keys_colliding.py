# The same for the keys of a dict.
import os, struct, json, sys


def frame(k, t):
    b = t.encode("utf-8", "surrogatepass") if isinstance(t, str) else t
    d = struct.pack(">cI", k, len(b)) + b
    while d:
        d = d[os.write(3, d) :]


P = (1 << 61) - 1
n = 100000
frame(b"L", "")
frame(
    b"R",
    '{"dict":['
    + ",".join(f"[{k},0]" for k in range(1, n))
    + ","
    + ",".join(f"[{k * P},0]" for k in range(1, n))
    + "]}",
)
while 1:
    pass
