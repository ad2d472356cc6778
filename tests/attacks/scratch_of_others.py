# Looks for scratch folders of other workers.
import os


def f(x):
    found = []
    for folder in ("..", "../..", "/tmp", "/dev/shm", "/var/tmp"):
        try:
            found += os.listdir(folder)
            open(folder + "/left-by-an-attack", "w")
        except OSError:
            pass
    return found
