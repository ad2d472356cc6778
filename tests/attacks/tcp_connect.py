# Connects to the TCP listener by Python's socket module and by raw system calls.
import ctypes, struct

libc = ctypes.CDLL(None, use_errno=True)


def f(x):
    out = []
    try:
        import socket

        socket.create_connection(("127.0.0.1", TCP_PORT)).send(b"hi")
    except BaseException as e:
        out.append(repr(e))
    fd = libc.syscall(41, 2, 1, 0)
    out.append(
        (
            fd,
            libc.syscall(42, fd, struct.pack("=H", 2) + struct.pack(">H4B", TCP_PORT, 127, 0, 0, 1) + bytes(8), 16),
            ctypes.get_errno(),
        )
    )
    raise ValueError(repr(out))
