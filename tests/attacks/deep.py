# Returns 100,000 nested lists.
def f(x):
    xs = []
    for _ in range(100_000):
        xs = [xs]
    return xs
