# Reconnects one end of a socketpair to the abstract and the path-bound listener: connect, AF_UNSPEC, bind, sendmsg, sendmmsg.
import ctypes, struct, socket

libc = ctypes.CDLL(None, use_errno=True)


def f(x):
    out = []
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        for path in (b"\0" + ABSTRACT.encode(), SOCKET_PATH.encode() + b"\0", SOCKET_PATH.encode() + b"d\0"):
            fd = libc.syscall(41, 1, kind, 0)
            if fd < 0:
                fd = socket.socketpair(socket.AF_UNIX, kind)[0].detach()
            name = ctypes.create_string_buffer(struct.pack("=H", 1) + path)
            libc.syscall(42, fd, struct.pack("=H", 0), 2)
            out.append(libc.syscall(42, fd, name, 2 + len(path)))
            iov = (ctypes.c_void_p * 2)(ctypes.cast(name, ctypes.c_void_p).value, 5)
            header = (ctypes.c_uint64 * 7)(ctypes.addressof(name), 2 + len(path), ctypes.addressof(iov), 1, 0, 0, 0)
            out += [
                libc.syscall(46, fd, header, 0),
                libc.syscall(307, fd, header, 1, 0),
                libc.syscall(49, fd, name, 2 + len(path)),
            ]
            libc.close(fd)
    raise ValueError(repr(out))
