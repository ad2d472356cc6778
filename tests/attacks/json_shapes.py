# Forges two values of 8 MB: deep brackets, and a string of 8 MB of escapes.
import os, struct


def f(x):
    text = b'"' + b"\\u0041" * 1_380_000 + b'"' if x == 1 else b"[" * (8 << 20)
    view = memoryview(struct.pack(">cI", b"R", len(text)) + text)
    while view:
        view = view[os.write(3, view) :]
    os._exit(0)
