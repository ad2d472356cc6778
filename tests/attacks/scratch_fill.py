# Fills the scratch folder: all inodes, all bytes, odd names.
import os


def f(x):
    for i in range(2000):
        try:
            open(os.fsdecode(b"\xff\n%d" % i), "wb").write(b"x" * 20000)
        except OSError:
            pass
    try:
        os.rename(".", "../y")
    except OSError:
        pass
    return len(os.listdir())
