# Sleeps, which uses no CPU time.
import time


def f(x):
    time.sleep(3600)
