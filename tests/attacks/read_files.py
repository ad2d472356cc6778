# Reads the user's files.
import os


def f(x):
    found = []
    for path in (CANARY_FILE, "/etc/passwd", "/etc/shadow", os.path.expanduser("~/.bashrc"), "/proc/self/environ"):
        try:
            with open(path) as file:
                found.append(file.read())
        except OSError:
            pass
    return found
