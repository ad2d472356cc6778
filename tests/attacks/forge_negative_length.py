# Frame length 2**32-1.
import os


os.write(3, b"L" + b"\0" * 4)
os.write(3, b"R" + b"\xff" * 4 + b"x")
f = lambda x: 0
