# Fills the disk with one file.
import os


def f(x):
    with open("big", "wb") as file:
        while True:
            file.write(b"x" * (1 << 20))
