# Maps a scratch file as executable (the scratch is NOEXEC) and runs machine code from anonymous memory.
import ctypes, mmap, os


def f(x):
    fd, out = os.open("code", os.O_CREAT | os.O_RDWR), []
    os.write(fd, b"\xb8\x2a\0\0\0\xc3" + bytes(4090))
    try:
        out.append(mmap.mmap(fd, 4096, prot=5))
    except OSError as e:
        out.append(e.errno)
    area = mmap.mmap(-1, 4096, prot=7)
    area.write(b"\xb8\x2a\0\0\0\xc3")
    out.append(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(area)))())
    try:
        ctypes.CDLL(os.path.abspath("code"))
    except OSError as e:
        out.append(str(e)[:60])
    raise ValueError(repr(out))
