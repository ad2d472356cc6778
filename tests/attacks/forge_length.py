# Announces a frame of four gigabytes.
import os


def f(x):
    os.write(3, b"R\xff\xff\xff\xff")
    while True:
        os.write(3, b"x" * 65536)
