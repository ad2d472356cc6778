# Fills the scratch folder: bytes, inodes, sparse files, deleted open files, names of 255 bytes.
import os


def f(x):
    total = files = 0
    held = []
    try:
        for i in range(40):
            held.append(os.open(f"d{i}", os.O_CREAT | os.O_RDWR))
            os.unlink(f"d{i}")
            total += os.write(held[-1], bytes(4 << 20))
    except OSError as e:
        first = e.errno
    try:
        for i in range(100000):
            os.close(os.open(str(i).rjust(255, "n"), os.O_CREAT | os.O_WRONLY))
            files += 1
    except OSError as e:
        second = e.errno
    raise ValueError(repr((total, files, first, second)))
