# Starts a child that goes on after the test.
import os
import time


def f(x):
    if os.fork() == 0:
        time.sleep(3600)
    return 0
