# 8 MB of invalid UTF-8 in E frames: six bytes of JSON each.


frame(b"L", "")
for i in range(2):
    frame(b"E", b"\xff" * (8 << 20))
while 1:
    pass
