# A dict half of whose keys share one hash.


P = (1 << 61) - 1
n = 100000
frame(b"L", "")
frame(
    b"R",
    '{"dict":['
    + ",".join(f"[{k},0]" for k in range(1, n))
    + ","
    + ",".join(f"[{k * P},0]" for k in range(1, n))
    + "]}",
)
while 1:
    pass
