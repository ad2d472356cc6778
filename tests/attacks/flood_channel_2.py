# Floods the channel with valid small frames as fast as it can.
import os, struct


def f(x):
    data = struct.pack(">cI", b"R", 1) + b"1"
    while True:
        os.write(3, data * 5000)
