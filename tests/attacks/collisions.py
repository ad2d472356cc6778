# Returns a set of numbers whose hashes are all the same.
P = 2**61 - 1


def f(x):
    return {"a": frozenset(i * P for i in range(30_000))}
