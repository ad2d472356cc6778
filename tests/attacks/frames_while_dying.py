# Right-looking frames between the order to kill and the death: floods the channel from a signal handler.
import os, signal, struct

d = struct.pack(">cI", b"R", 4) + b"true"


def h(*a):
    while 1:
        os.write(3, d)


def f(x):
    signal.signal(signal.SIGALRM, h)
    signal.setitimer(signal.ITIMER_REAL, 0.95, 0.001)
    while 1:
        pass
