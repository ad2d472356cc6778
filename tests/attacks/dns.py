# Asks for a name.
import socket


def f(x):
    return socket.gethostbyname("localhost")
