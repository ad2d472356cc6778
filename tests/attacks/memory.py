# Takes all memory.
def f(x):
    return len(bytearray(1 << 36))
