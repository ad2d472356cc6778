# Becomes another program.
import os


def f(x):
    os.execv("/bin/sh", ["sh", "-c", f"echo lost > {CANARY_FILE}; sleep 3600"])
