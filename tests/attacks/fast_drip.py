# One byte per write at full speed.
import os


def f(x):
    os.write(3, b"R\0\x70\0\0")
    while 1:
        os.write(3, b" ")
