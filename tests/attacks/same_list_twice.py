# Returns the same list twice, which changes between: what the test compares are copies from different times.
# TESTS: [Check("assert [f(1), f(2)] == [[1], [1, 2]]"), Check("assert (f(3), f(4))[0] != f(5)[:3] and [f(6)] < [[1], f(7)]")]
answer = []


def f(x):
    answer.append(x)
    return answer
