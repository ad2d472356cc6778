# Loops for ever.
def f(x):
    while True:
        pass
