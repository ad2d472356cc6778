# A class whose honest name is a surrogate.
def f(x):
    return type("\ud800", (), {})()
