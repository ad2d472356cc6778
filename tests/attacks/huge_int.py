# Returns a number of a million digits.
def f(x):
    return 1 << 4_000_000
