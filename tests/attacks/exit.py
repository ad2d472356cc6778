# Ends the process with success.
import os


def f(x):
    os._exit(0)
