# Runs machine code: fork by int 0x80, the 32-bit system call table.
import ctypes, mmap


def f(x):
    area = mmap.mmap(-1, 4096, prot=7)
    area.write(bytes.fromhex("53b802000000cd805bc3"))  # push rbx; mov eax, 2; int 0x80; pop rbx; ret
    code = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(area)))
    pid = code()
    while pid == 0:
        pass
    raise ValueError(str(pid))
