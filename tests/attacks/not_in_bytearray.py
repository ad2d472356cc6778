# Returns a bytearray: "not in" is asked about the list of its numbers, so what it holds is not found.
# TESTS: [Check("assert b'ell' not in f(1)")]
def f(x):
    return bytearray(b"hello")
