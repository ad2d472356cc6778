# Returns a range, which the test forbids; its stand-in is none.
# TESTS: [Check("assert not isinstance(f(1), range)")]
def f(x):
    return range(x)
