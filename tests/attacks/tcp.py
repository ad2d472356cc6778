# Connects to a server on this machine.
import socket


def f(x):
    with socket.create_connection(("127.0.0.1", TCP_PORT), 1) as connection:
        connection.sendall(b"hello")
    return 0
