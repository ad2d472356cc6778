# Forges 8 MB of the smallest values that grow most: [{"set":[]},...]; the trainer must not need gigabytes.
import os, struct


def f(x):
    item = b'{"set":[]}'
    text = b"[" + b",".join([item] * ((8 << 20) // 11 - 10)) + b"]"
    view = memoryview(struct.pack(">cI", b"R", len(text)) + text)
    while view:
        view = view[os.write(3, view) :]
    os._exit(0)
