# Finds inherited descriptors without /proc by fcntl and fstat up to 100000, and what they can do.
import os, fcntl, stat, select


def f(x):
    out = []
    for fd in range(100000):
        try:
            s = os.fstat(fd)
        except OSError:
            continue
        out.append((fd, stat.S_IFMT(s.st_mode) >> 12, fcntl.fcntl(fd, 3) & 3, fcntl.fcntl(fd, 1)))
    if len(out) != 4:
        raise ValueError(repr(out))
    raise ValueError("only " + repr(out))
