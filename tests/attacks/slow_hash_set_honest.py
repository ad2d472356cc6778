# Returns a list (no forging) whose items walk along one chain of the hash table; sets are made of it where a check makes sets.
BITS = 19


def f(x):
    size, i, fill = 1 << BITS, 1, []
    for _ in range(size // 2):
        fill.append(i)
        i = (5 * i + 1) & (size - 1)
    return set(fill[:1000]) and {k: 0 for k in fill} and fill + [(j << BITS) + 1 for j in range(1, 60000)]
