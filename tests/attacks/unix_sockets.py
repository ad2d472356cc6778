# Connects to abstract and path-bound sockets.
import socket


def f(x):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        for address in ("\0" + ABSTRACT, SOCKET_PATH):
            try:
                with socket.socket(socket.AF_UNIX, kind) as s:
                    s.connect(address)
                    s.send(b"hello")
            except OSError:
                pass
    return 0
