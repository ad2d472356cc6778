# The same with an honest-looking share of duplicates (a third): passes the share test, so three tables are built.
import os, struct


def frame(k, t):
    b = t.encode()
    d = struct.pack(">cI", k, len(b)) + b
    while d:
        d = d[os.write(3, d) :]


def slots(h, mask, n):
    i, p, out = h & mask, h, {}
    while len(out) < n:
        for j in range(i, i + (10 if i + 9 <= mask else 1)):
            out[j] = 0
        p >>= 5
        i = (i * 5 + 1 + p) & mask
    return out


frame(b"L", "")
frame(b"R", '{"set":[' + ",".join(map(str, slots(1 << 17, (1 << 17) - 1, 60000))) + ",131072" * 20000 + "]}")
while 1:
    pass
