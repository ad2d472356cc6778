# Forges RETURNED before LOADED.


for i in range(4):
    frame(b"R", "true")
f = lambda x: 0
