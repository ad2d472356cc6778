# Returns a set, a dict: Python cannot look for a list in them, the list of their members can.
# TESTS: [Check("assert [1] not in f(1)"), Check("assert {1} not in f(2)")]
def f(x):
    return {1, 2} if x == 1 else {1: 2}
