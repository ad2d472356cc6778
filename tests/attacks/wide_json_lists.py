# 8 MB of empty lists: memory of the trainer.


frame(b"L", "")
for i in range(2):
    frame(b"R", "[" + "[]," * 2790000 + "0]")
while 1:
    pass
