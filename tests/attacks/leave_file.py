# Leaves files for the next program.
import os

seen = [open(name).read() for name in os.listdir(".")]
with open("note", "w") as file:
    file.write("LEFT" + "BEHIND")


def f(x):
    return seen
