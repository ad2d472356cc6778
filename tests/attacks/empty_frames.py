# Unknown empty frames for a hundred tests.
# TESTS: [Call((i,), SECRET) for i in range(100)]
import os, struct


frame(b"L", "")
d = (struct.pack(">cI", b"?", 0)) * 5000
while 1:
    os.write(3, d)
