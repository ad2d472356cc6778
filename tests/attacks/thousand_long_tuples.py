# 1000 long tuples with the same hash: below the threshold, but every comparison is long.


P = (1 << 61) - 1
frame(b"L", "")
b = "1e0," * 1900
frame(b"R", '{"set":[' + ",".join('{"tuple":[' + b + str(k * P) + "]}" for k in range(1000)) + "]}")
while 1:
    pass
