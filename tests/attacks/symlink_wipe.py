# Leaves symbolic links to the folder of the canary, also in place of a folder, so that the wipe deletes the canary.
import os


def f(x):
    folder = os.path.dirname(CANARY_FILE)
    os.mkdir("d")
    for name in ("a", "d/b", "0-1"):
        os.symlink(folder, name)
