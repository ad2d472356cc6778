# RETURNED text that is a verdict name or a whole record.


frame(b"L", "")
for t in ('"passed"', '["returned","true",0]', '[["returned","true",0]]'):
    frame(b"R", t)
while 1:
    pass
