# Distinct ints that fill one probe sequence of a set, then one unlucky int half a million times.
import os, struct


def frame(k, t):
    b = t.encode()
    d = struct.pack(">cI", k, len(b)) + b
    while d:
        d = d[os.write(3, d) :]


def slots(h, mask, n):  # the first n slots that CPython's set looks at for hash h
    i, p, out = h & mask, h, {}
    while len(out) < n:
        for j in range(i, i + (10 if i + 9 <= mask else 1)):
            out[j] = 0
        p >>= 5
        i = (i * 5 + 1 + p) & mask
    return out


frame(b"L", "")
frame(b"R", '{"set":[' + ",".join(map(str, slots(1 << 20, (1 << 20) - 1, 400000))) + ",1048576" * 500000 + "]}")
while 1:
    pass
