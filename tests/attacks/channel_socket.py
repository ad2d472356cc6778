# Uses the channel as a socket: sends it descriptors, connects it elsewhere, shuts it down.
import socket


def f(x):
    s = socket.socket(fileno=3)
    for act in (
        lambda: socket.send_fds(s, [b"R\0\0\0\4true"], [0, 1]),
        lambda: s.connect(("127.0.0.1", TCP_PORT)),
        lambda: s.sendto(b"hello", SOCKET_PATH),
        lambda: s.shutdown(socket.SHUT_RDWR),
        lambda: s.recv(1, socket.MSG_DONTWAIT),
    ):
        try:
            act()
        except OSError:
            pass
    return 0
