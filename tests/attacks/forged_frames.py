# Forges LOADED and RETURNED frames on the channel descriptor 3 while loading.
import os, struct


def frame(kind, text):
    return struct.pack(">cI", kind, len(text)) + text


os.write(3, frame(b"L", b"") + frame(b"R", b"1") + frame(b"R", b"[1]") + frame(b"R", b"true"))


def f(x):
    return x
