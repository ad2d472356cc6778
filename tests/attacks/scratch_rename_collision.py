# Names that empty_folder's rename would use (needs mkdir).
import os

for d in "abcdefgh":
    try:
        os.makedirs(d + "/x")
        i = os.stat(d + "/x").st_ino
        for n in range(3):
            os.makedirs(f"{n}-{i}/y")
    except OSError:
        pass
f = lambda x: os.listdir()
