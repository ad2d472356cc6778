# A Check makes a set of tuples that hold colliding numbers.
# TESTS: [Check(f'assert set(f(1)) == {{{SECRET}}}')]


P = (1 << 61) - 1
n = 60000
frame(b"L", "")
frame(
    b"R",
    "[["
    + ",".join('{"tuple":[' + str(k) + "]}" for k in range(1, n))
    + ","
    + ",".join('{"tuple":[' + str(k * P) + "]}" for k in range(1, n))
    + "]]",
)
while 1:
    pass
