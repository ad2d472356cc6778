# 450 MB touched by every test, plus many tiny mappings.
import mmap

k = []


def f(x):
    try:
        while 1:
            k.append(bytearray(1 << 20))
    except MemoryError:
        pass
    try:
        while 1:
            k.append(mmap.mmap(-1, 4096))
    except OSError:
        pass
    return k
