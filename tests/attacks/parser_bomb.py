# Makes the compiler work for ever.
exec("(" * 100_000)
exec("-" * 1_000_000 + "1")
exec("x = " + "[" * 90 + "]" * 90 + "\n" + "a = 1\n" * 1_000_000)


def f(x):
    return 0
