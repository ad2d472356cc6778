# Sends a list of colliding numbers as a set.
import json
import os
import struct


def f(x):
    data = json.dumps({"set": [{"int": hex(i * (2**61 - 1))} for i in range(200_000)]}).encode()
    os.write(3, struct.pack(">cI", b"R", len(data)) + data)
    os._exit(0)
