# Returns a list that holds itself.
def f(x):
    xs = []
    xs.append(xs)
    return xs
