# Frames without end, at once.
import os, struct


d = (struct.pack(">cI", b"L", 0) + struct.pack(">cI", b"R", 4) + b"true") * 5000
while 1:
    os.write(3, d)
