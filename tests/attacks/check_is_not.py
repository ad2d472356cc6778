# Check: `f() is not f()` holds for data that is decoded twice.
# TESTS: [Check('assert f(1) is not f(1)')]
L = []
f = lambda x: L
