# E frames that start with AssertionError.


frame(b"L", "")
for i in range(3):
    frame(b"E", "AssertionError: passed")
