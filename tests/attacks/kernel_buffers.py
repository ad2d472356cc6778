# Memory in full pipes, socket pairs, eventfds and epoll sets, up to the limit of descriptors.
import os, socket, select


def f(x):
    total = 0
    try:
        while True:
            a, b = socket.socketpair()
            a.setblocking(False)
            keep = globals().setdefault("keep", [])
            keep += [a, b]
            try:
                while True:
                    total += a.send(b"x" * 65536)
            except BlockingIOError:
                pass
    except OSError:
        pass
    raise ValueError(str(total))
