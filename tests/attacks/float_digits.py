# Forges a float of 8 million digits that lies half-way between two doubles: slow to read?.
import os, struct


def f(x):
    half = "9007199254740993" + "." + "0" * 7_900_000 + "1"
    text = b'{"float":"' + half.encode() + b'"}'
    view = memoryview(struct.pack(">cI", b"R", len(text)) + text)
    while view:
        view = view[os.write(3, view) :]
    os._exit(0)
