# Forges an opaque value whose name is a lone surrogate: the trainer's log cannot encode the detail.
import os, struct


def f(x):
    text = rb'{"opaque": "\ud800"}'
    os.write(3, struct.pack(">cI", b"R", len(text)) + text)
    while True:
        pass
