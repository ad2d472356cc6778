# The same urgent byte while loading, then an endless loop.
import ctypes

libc = ctypes.CDLL(None)
libc.send(3, b"!", 1, 1)
while True:
    pass
