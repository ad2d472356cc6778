# Makes descriptors 0-3 non-blocking and asynchronous (O_ASYNC).
import os, fcntl

for d in range(4):
    fcntl.fcntl(d, fcntl.F_SETFL, os.O_NONBLOCK | 0o20000 | os.O_APPEND)
f = lambda x: "x" * 7000000
