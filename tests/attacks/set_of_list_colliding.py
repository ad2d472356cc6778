# A Check makes a set of a list half of which collides.
# TESTS: [Check(f'assert set(f(1)) == {{{SECRET}}}')]


P = (1 << 61) - 1
n = 150000
frame(b"L", "")
frame(b"R", "[[" + ",".join(map(str, range(1, n))) + "," + ",".join(str(k * P) for k in range(1, n)) + "]]")
while 1:
    pass
