# Values that contain themselves, and a million levels of nesting, through the honest encoder.
def f(x):
    a = []
    if x == 1:
        a += [a, {1: a}, (a,)]
    else:
        for i in range(1000000):
            a = [a]
    return a
