# Leaves folders nested 3000 deep, each of mode 0, with a file inside.
import os


def f(x):
    for _ in range(3000):
        os.mkdir("n" * 200)
        os.chdir("n" * 200)
        open("file", "w").close()
    raise ValueError(os.stat(".").st_ino)
