# Holds memory in the buffers of pipes and socket pairs.
import os
import socket


def f(x):
    while True:
        pair = socket.socketpair()
        pair[0].setblocking(False)
        pair[0].send(b"x" * (1 << 20))
        pair[0].detach(), pair[1].detach()
