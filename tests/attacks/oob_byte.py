# Sends one urgent (MSG_OOB) byte on the channel: poll says readable, read blocks, the supervisor's clock stops.
import ctypes, time

libc = ctypes.CDLL(None)


def f(x):
    libc.send(3, b"!", 1, 1)
    time.sleep(1000)
