# Uses CPU time where the clock might not see it: in short bursts, and in the kernel.
import os
import time


def f(x):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for _ in range(1000):
            os.getppid()
        time.sleep(0.0001)
