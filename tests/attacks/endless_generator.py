# Returns a generator without end.
def f(x):
    def count():
        while True:
            yield 1

    return count()
