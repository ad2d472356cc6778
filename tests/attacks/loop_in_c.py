# Loops inside one operation of the interpreter, where no signal handler of Python runs.
def f(x):
    return sum(range(10**18))
