# Takes all memory bit by bit, and swallows the error.
def f(x):
    kept = []
    while True:
        try:
            kept.append(bytearray(1 << 22))
        except MemoryError:
            kept.append(x)
            if len(kept) > 10000:
                return 0
