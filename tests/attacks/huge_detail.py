# Forges an exception frame of 8 MB with one wide character: Result.details keeps 32 MB a test.
import os, struct


def f(x):
    text = b"x" * ((8 << 20) - 8) + "\U0001f600".encode()
    view = memoryview(struct.pack(">cI", b"E", len(text)) + text)
    while view:
        view = view[os.write(3, view) :]
    while True:
        pass
