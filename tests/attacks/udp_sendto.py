# Sends a datagram by sendto with an address, to UDP and path-bound unix sockets, on every descriptor.
import ctypes, struct, socket

libc = ctypes.CDLL(None, use_errno=True)


def f(x):
    out = []
    for fd in (libc.syscall(41, 2, 2, 0), 3):
        out.append(
            libc.syscall(
                44, fd, b"hi", 2, 0, struct.pack("=H", 2) + struct.pack(">H4B", UDP_PORT, 127, 0, 0, 1) + bytes(8), 16
            )
        )
    for path in (SOCKET_PATH.encode() + b"\0", b"\0" + ABSTRACT.encode()):
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        out.append(libc.syscall(44, a.fileno(), b"hi", 2, 0, struct.pack("=H", 1) + path, 2 + len(path)))
        out.append(libc.syscall(42, a.fileno(), struct.pack("=H", 1) + path, 2 + len(path)))
    raise ValueError(repr(out))
