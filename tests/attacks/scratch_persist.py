# Leaves a file for the next test or program.
import os


def f(x):
    s = os.path.exists("mark")
    open("mark", "w").write("1")
    return "seen" if s else "new"
