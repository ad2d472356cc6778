# Tells the next program a number by the time of change of the scratch folder, which the wipe leaves as it is.
# CHANNEL: 64
import os, time

if ROLE == "write":
    while True:
        os.close(os.open("a", os.O_CREAT | os.O_WRONLY))
        os.unlink("a")
        if (os.stat(".").st_mtime_ns >> 22) % 64 == MESSAGE:
            break
        time.sleep(0.001)


def f(x):
    return (os.stat(".").st_mtime_ns >> 22) % 64
