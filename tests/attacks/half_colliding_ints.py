# A set of numbers half of which share one hash: a table of them costs the square.


P = (1 << 61) - 1
n = 150000
frame(b"L", "")
frame(b"R", '{"set":[' + ",".join(map(str, range(1, n))) + "," + ",".join(str(k * P) for k in range(1, n)) + "]}")
while 1:
    pass
