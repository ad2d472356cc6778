# Computes a number that no memory holds.
def f(x):
    return 10**10**8
