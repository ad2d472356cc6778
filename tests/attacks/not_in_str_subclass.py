# Returns a str of a subclass: "not in" is asked about the list of its letters, so what it holds is not found.
# TESTS: [Check("assert 'ell' not in f(1)")]
class Text(str):
    pass


def f(x):
    return Text("hello")
