# Mounts, unmounts, changes root, enters other namespaces.
import ctypes

libc = ctypes.CDLL(None, use_errno=True)


def f(x):
    answers = [libc.mount(b"none", b"/proc", b"proc", 0, None), libc.umount2(b"/proc", 2), libc.unshare(0x10020000)]
    answers += [
        libc.chroot(b"."),
        libc.setns(3, 0),
        libc.syscall(155, b".", b"."),
        libc.syscall(442, -100, b"/", 0, b"\0" * 32, 32),
    ]
    open("/written", "w")
    return answers
