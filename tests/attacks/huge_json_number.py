# JSON numbers of millions of digits, floats too.


frame(b"L", "")
frame(b"R", "1" * 8000000)
frame(b"R", "1." + "9" * 8000000)
frame(b"R", '{"float":"' + "1_" * 4000000 + '1e-4000000"}')
while 1:
    pass
