# Returns and raises text that is no Unicode.
def f(x):
    if x == 1:
        raise ValueError("\ud800" * 1000)
    return ["\ud800\udfff\0"]
