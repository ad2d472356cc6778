# An extra frame per test so that answers shift by one test.


def f(x):
    frame(b"R", "[1]")
    return 0
