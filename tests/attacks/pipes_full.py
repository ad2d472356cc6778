# Fills all pipes and socket pairs it can have.
import os, socket


def f(x):
    k = []
    try:
        while 1:
            a, b = socket.socketpair()
            k += [a, b]
            a.setblocking(False)
            try:
                while 1:
                    a.send(b"x" * 65536)
            except BlockingIOError:
                pass
    except OSError:
        pass
    while 1:
        pass
