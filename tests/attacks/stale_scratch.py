# Leaves nested folders and names that collide with those of the wipe (needs mkdir).
import os


def f(x):
    os.mkdir("d")
    os.mkdir("d/e")
    number = os.stat("d/e").st_ino
    for i in range(3):
        open(f"{i}-{number}", "w").close()
    os.mkdir("z")
    os.mkdir("z/z")
    n = os.stat("z/z").st_ino
    for i in range(6):
        open(f"{i}-{n}", "w").close()
    os.chmod("d/e", 0)
