# An int of 33 million bits, honest.
def f(x):
    return 1 << 33000000 - (x * 2000000)
