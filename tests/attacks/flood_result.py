# Returns a value of a gigabyte.
def f(x):
    return ["x" * (1 << 20)] * (1 << 10)
