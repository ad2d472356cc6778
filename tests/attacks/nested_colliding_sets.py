# 1000 frozensets with equal hash of 300 colliding ints each: comparisons of comparisons.


P = (1 << 61) - 1
frame(b"L", "")
b = ",".join(str(k * P) for k in range(300))
frame(b"R", '{"set":[' + ",".join('{"frozenset":[' + b + "," + str((400 + k) * P) + "]}" for k in range(1000)) + "]}")
while 1:
    pass
