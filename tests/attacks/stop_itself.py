# Stops itself: it neither computes nor ends.
import os
import signal


def f(x):
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    signal.pause()
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    while True:
        signal.pause()
