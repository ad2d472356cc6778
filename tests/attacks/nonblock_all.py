# Makes all its descriptors non-blocking by O_NONBLOCK and FIONBIO, then fills the channel.
import fcntl, os


def f(x):
    for fd in range(4):
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK | os.O_APPEND)
        fcntl.ioctl(fd, 0x5421, b"\1\0\0\0")
    try:
        while True:
            os.write(3, b"\0" * 4096)
    except BlockingIOError:
        pass
    while True:
        pass
