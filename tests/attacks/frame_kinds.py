# Sends frames of every kind byte, among them the order to kill, READY and lower-case names of verdicts.
import os, struct


def f(x):
    for kind in b"!LREMTSKF\0\xffptw":
        os.write(3, struct.pack(">BI", kind, 6) + b"passed")
    while True:
        pass
