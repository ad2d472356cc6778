# Starts a thread that writes forged frames later.
import os
import threading
import time


def forge():
    while True:
        os.write(3, b"R\0\0\0\4null")
        time.sleep(0.001)


def f(x):
    threading.Thread(target=forge, daemon=True).start()
    return 0
