# Drips frames one byte at a time, header split from body.
import os, struct


import time

d = struct.pack(">cI", b"L", 0) + 3 * (struct.pack(">cI", b"R", 4) + b"true")
for c in d:
    os.write(3, bytes([c]))
    time.sleep(0.01)
f = lambda x: 0
