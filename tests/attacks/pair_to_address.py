# Sends from a socket pair to an address: no socket() and no connect() needed.
import socket


def f(x):
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for address in ("\0" + ABSTRACT, SOCKET_PATH):
        for act in (lambda: a.sendto(b"hello", address), lambda: a.sendmsg([b"hello"], [], 0, address)):
            try:
                act()
            except OSError:
                pass
    return 0
