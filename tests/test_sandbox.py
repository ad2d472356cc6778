"""sandbox.py: verdicts, limits, hidden expected values, comparison, and processes that never outlive their trainer."""

import contextlib
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import types
from pathlib import Path

import pytest

import sandbox as sandbox_module
from sandbox import (
    Call,
    Check,
    Opaque,
    Program,
    Sandbox,
    SandboxError,
    StdIO,
    Verdict,
    Worker,
    decide,
    decode,
    encode,
    prepare,
    read_test,
    same_output,
    split_test_function,
)

ROOT = Path(sandbox_module.__file__).parent
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=2, cpu_seconds=1.0, memory_mb=256) as pool:
        yield pool


@pytest.fixture(scope="module")
def hasty():
    """For programs that are to be timed out."""
    with Sandbox(workers=1, cpu_seconds=0.2, memory_mb=256) as pool:
        yield pool


def equal(expected, actual):
    try:
        return decide({"options": [encode(expected)], "json_like": False}, json.loads(json.dumps(encode(actual))))
    except TypeError:  # no plain data
        return False


def seen(tests, entry_point="f"):
    """What the program's runners see of tests: the kind of runner, and what it is told."""
    return [(test.kind, test.line.decode()) for test in prepare(Program("", tests, entry_point))]


def run(pool, source, *tests):
    return pool.submit(Program(textwrap.dedent(source), tests, "f")).result(timeout=60)


def verdicts(pool, source, *tests):
    return [str(verdict) for verdict in run(pool, source, *tests).verdicts]


# Verdicts


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        ("def f(x): return x * x", "passed"),
        ("def f(x): return x + x", "wrong_answer"),
        ("def f(x): print('noise' * 10**6); return 9", "passed"),
        ("def f(x): return x / 0", "runtime_error"),
        ("def f(x): raise SystemExit(0)", "runtime_error"),
        ("def g(x): return 9", "runtime_error"),
        ("raise ValueError('while loading')", "runtime_error"),
        ("import os\ndef f(x): os._exit(0)", "runtime_error"),
        ("import os, signal\ndef f(x): os.kill(os.getpid(), signal.SIGSEGV)", "runtime_error"),
        ("def f(x): return f(x)", "runtime_error"),
        ("def f(x) return 9", "syntax_error"),
        ("def g(x): return 9", "runtime_error"),
        ("while True: pass", "timeout"),
        ("def f(x):\n    while True:\n        try:\n            pass\n        except BaseException: pass", "timeout"),
        ("def f(x): return sum(range(10**12))", "timeout"),
        ("def f(x): return len([0] * 10**10)", "memory_limit"),
        ("def f(x):\n    a = []\n    while True: a.append(bytearray(1 << 20))", "memory_limit"),
        ("def f(x): return 'x' * (9 << 20)", "output_limit"),
        ("def f(x): return [None] * 2_000_001", "output_limit"),
        ("def f(x):\n    a = []\n    for _ in range(1000): a = [a]\n    return a", "runtime_error"),
        ("import os\ndef f(x): os.fork(); return 9", "runtime_error"),
        ("import threading\ndef f(x): threading.Thread(target=print).start(); return 9", "runtime_error"),
        ("import subprocess\ndef f(x): subprocess.run(['true']); return 9", "runtime_error"),
        ("def f(x): open('big', 'wb').write(b'x' * (1 << 25)); return 9", "runtime_error"),
    ],
)
def test_each_behaviour_gets_its_verdict(sandbox, hasty, source, verdict):
    result = run(hasty if verdict == "timeout" else sandbox, source, Call((3,), 9))
    assert str(result.verdicts[0]) == verdict, result.details
    assert ("defines no function f" in result.details[0]) == ("def g" in source)


def test_each_test_has_its_own_verdict(hasty):
    source = """
        import os
        def f(x):
            if x == 1: os._exit(0)
            if x == 2: raise ValueError("two")
            while x == 3: pass
            return x
    """
    result = run(hasty, source, *(Call((x,), x) for x in range(6)))
    assert result.passed == (True, False, False, False, True, True)
    assert [str(v) for v in result.verdicts[1:4]] == ["runtime_error", "runtime_error", "timeout"]
    assert result.pass_rate == 0.5 and not result.all_passed
    assert "two" in result.details[2] and result.seconds[3] >= 0.2


def test_a_wrong_answer_is_shown(sandbox):
    tests = [Call((1,), "b"), Check("assert f(1) == 'b'"), Call((1,), ["b"] * 5000)]
    details = run(sandbox, "def f(x): return 'a'", *tests).details
    assert details == ("got 'a'", "got ['a']", "got 3 bytes, where 25000 were expected")
    assert run(sandbox, "print('a', end='')", StdIO("", "b")).details == ("got 'a'",)


def test_a_program_that_only_waits_is_ended_by_wall_time(hasty):
    result = run(hasty, "import time\ndef f(x): time.sleep(60)", Call((0,), None))
    assert str(result.verdicts[0]) == "timeout" and "wall" in result.details[0]


def test_after_max_timeouts_the_rest_is_skipped_and_counts_as_failed(hasty):
    result = run(hasty, "def f(x):\n    while x: pass", *[Call((1,), None)] * 3, Call((0,), None))
    assert [str(v) for v in result.verdicts] == ["timeout", "timeout", "skipped", "skipped"]


def test_isolate_gives_every_test_a_process_of_its_own(sandbox):
    source = "n = []\ndef f():\n    n.append(0)\n    return len(n)"
    tests = [Call((), 1), Call((), 1), Call((), 2)]
    assert verdicts(sandbox, source, *tests) == ["passed", "wrong_answer", "wrong_answer"]
    with Sandbox(workers=1, isolate=True) as isolated:
        assert verdicts(isolated, source, *tests) == ["passed", "passed", "wrong_answer"]


def test_standard_input_and_output(sandbox):
    source = "print(sum(map(int, input().split())))"
    tests = [StdIO("1 2 3\n", "6"), StdIO("1 2\n", "3\n"), StdIO("1 2\n", "4\n"), StdIO("", "0")]
    assert verdicts(sandbox, source, *tests) == ["passed", "passed", "wrong_answer", "runtime_error"]
    early = "import sys, os\nprint(1, flush=True)\n"
    assert verdicts(sandbox, early + "sys.exit()", StdIO("", "1")) == ["passed"]
    assert verdicts(sandbox, early + "os._exit(0)", StdIO("", "1")) == ["passed"]
    assert verdicts(sandbox, early + "sys.exit(3)", StdIO("", "1")) == ["runtime_error"]
    assert verdicts(sandbox, early + "exit()", StdIO("", "1")) == ["passed"]
    assert verdicts(sandbox, "while True: print('x' * 1000)", StdIO("", "x")) == ["output_limit"]
    assert verdicts(sandbox, "if __name__ == '__main__': print(open(0).read()[::-1])", StdIO("ab", "ba")) == ["passed"]
    big = "1 " * 200_000
    assert verdicts(sandbox, "print(len(input().split()))", StdIO(big, "200000")) == ["passed"]


def test_kinds_of_tests_may_be_mixed(sandbox):
    source = "def f(x): return x\nif __name__ == '__main__': print(f(input()))"
    tests = [Call((1,), 1), StdIO("a", "a"), Call((2,), 1), Check("assert f(3) == 3"), StdIO("b", "a")]
    assert run(sandbox, source, *tests).passed == (True, True, False, True, False)


def test_large_inputs_are_no_problem(sandbox):
    assert verdicts(sandbox, "def f(xs): return sum(xs)", Call((list(range(500_000)),), 124999750000)) == ["passed"]


def test_plain_values_arrive_as_they_are(sandbox):
    values = [None, True, 1, -(2**80), 1.5, float("inf"), "é\ud800", b"\x00\xff", (1, [2, {"a": (3,)}]), {1, 2}, {}]
    values += [{(1, 2): {"x"}}, frozenset({1}), 1 + 2j, [], ()]
    result = run(sandbox, "def f(x): return x", *(Call((value,), value) for value in values))
    assert result.all_passed, result.details


def test_large_and_deep_values_get_right_verdicts(sandbox):
    million = Call((10**6,), list(range(10**6)))
    assert verdicts(sandbox, "def f(x): return list(range(x))", million) == ["passed"]
    assert verdicts(sandbox, "def f(x): return list(range(x - 1)) + [0]", million) == ["wrong_answer"]
    text = Call((1 << 20,), "é" * (1 << 20))
    assert verdicts(sandbox, "def f(x): return 'é' * x", text) == ["passed"]
    assert verdicts(sandbox, "def f(x): return 'é' * (x - 1) + 'e'", text) == ["wrong_answer"]
    for make, levels in (("[y]", 200), ("(y,)", 200), ("{0: y}", 200), ("[{0: (y,)}]", 66)):
        source = f"def f(x):\n    y = 0\n    for _ in range(x): y = {make}\n    return y"
        exec(source, scope := {})
        assert verdicts(sandbox, source, Call((levels,), scope["f"](levels))) == ["passed"], make
        assert verdicts(sandbox, source, Call((levels,), scope["f"](levels - 1))) == ["wrong_answer"], make
        assert verdicts(sandbox, source, Call((10 * levels,), 0)) == ["runtime_error"], make
    for make in ("[y]", "(y,)", "{0: y}"):  # what a test may hold can be compared, too
        source = f"def f(x):\n    y = 1\n    for _ in range(x): y = {make}\n    return y"
        exec(source.replace("y = 1", "y = 1.0"), scope := {})
        levels = next(n for n in range(500, 0, -5) if can_be_prepared(Call((n,), scope["f"](n))))
        for n in (levels - 50, 100):  # a runner's stack and the trainer's are not equally deep
            assert verdicts(sandbox, source, Call((n,), scope["f"](n))) == ["passed"], (make, n)


def can_be_prepared(test):
    try:
        return bool(prepare(Program("", [test], "f")))
    except ValueError:
        return False


@linux
def test_the_trainers_memory_is_bounded_whatever_programs_return():
    """Empty lists take 64 bytes each for 3 in the message: it is not even read where it cannot be right."""
    code = """
from sandbox import *
forge = '''
import os, struct
def f(x):
    data = b"[" + b"[]," * 2_700_000 + b"0]"
    os.write(3, struct.pack(">cI", b"R", len(data)))
    view = memoryview(data)
    while view: view = view[os.write(3, view):]
'''
with Sandbox(workers=2) as pool:
    results = list(pool.map(Program(forge + f"# {i}", [Call((0,), 0)], "f") for i in range(4)))
assert [str(r.verdicts[0]) for r in results] == ["wrong_answer"] * 4, results
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])  # ru_maxrss would count the parent's, too
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 170_000, done.stdout  # kB; 240,000 if it were read


def test_an_honest_program_on_a_busy_machine_is_not_timed_out():
    source = (
        "def f(x):\n    import time\n    end = time.process_time() + 0.2\n    while time.process_time() < end: pass"
    )
    with Sandbox(workers=8, cpu_seconds=0.6) as pool:
        results = pool.map(Program(source + f" # {i}", [Call((0,), None)] * 2, "f") for i in range(16))
        assert all(result.all_passed for result in results)


# Nothing to forge


def test_no_expected_value_is_in_the_job():
    secret = random.Random(0).getrandbits(80)
    tests = [
        Call((1,), secret),
        Check(f"assert f(1) == {secret}"),
        Check(f"assert abs(f(1) - {secret}) < 2"),
        Check(f"assert set(f(1)) == set([{secret}]), 'no'"),
        Check(f"assert f(1) in ({secret}, [{secret}]) and not f(2) == {{'a': {secret}}}"),
        StdIO("", str(secret)),
    ]
    job = json.dumps(seen(tests))
    assert str(secret) not in job and hex(secret) not in job
    assert not any(test.note for test in prepare(Program("", tests, "f")))


def test_checks_are_judged_as_python_would(sandbox):
    source = """
        def f(x): return [x, 2 * x]
        def g(): return iter([1])
        def h(): return type("E", (), {"__eq__": lambda *a: 1})()
        def near(v): return True
    """
    cases = {
        "assert f(1) == [1, 2]": True,
        "assert f(1) == (1, 2)": False,
        "assert tuple(f(1)) == (1, 2)": True,
        "assert f(1)[0] == 1 and len(f(2)) == 2": True,
        "assert f(1) != [1, 2]": False,
        "assert not f(1)": False,
        "assert sum(f(1)) - 3 == 0, 'message'": True,
        "assert all(f(x)[1] == 2 * x for x in range(3))": True,
        "assert all(f(x)[1] == x for x in range(3))": False,
        "assert sorted(f(-1)) == [-2, -1]": True,
        "assert math.isclose(f(1)[0], 1 + 1e-12, rel_tol=1e-9)": True,
        "xs = [2]\nfor i in range(3):\n    xs.append(i)\nassert f(sum(xs)) == [5, 10]": True,
        "for i in range(3):\n    assert f(i) == [i, 2 * i]": True,
        "for i in range(3):\n    assert f(i) == [i, 3 * i]": False,
        "assert f(1) == g2(1)": None,
        "assert f(2) == [2, 2 ** 2]": True,
        "assert set(f(1)) == {1, 2}": True,
        "assert abs(f(1)[0] - 2 / 2) < 1e-9": True,
        "assert (f(1)[0] - 1) ** 2 < 1e-9": True,
        "assert f(1).__eq__([1, 2])": True,
        "assert ','.join(map(str, f(1))) == '1,2'": True,
        "assert g() == [1]": False,
        "assert g() != [1]": True,
        "assert h() == 5": True,
        "assert f(1) or f(2)": True,
        "assert f(1) is not None": True,
        "assert f(1) is not f(1)": True,
        "y = f(1)\nassert y == [1, 2]": True,
        "min, max = [0], [9]\nassert min < f(1) < max": True,
        "assert near(f(1))": True,
        "assert [1, 2].__eq__(f(1))": True,
        "import math\nassert math.isclose(f(1)[1], 2.0000000001)": True,
        "assert undefined(3) == 3": None,
        "assert isinstance(f(1), list)": True,
        "assert 2 < f(1)[1] + 1 < 4": True,
        "assert f(1)[0] == abs.__call__(-1)": True,
    }
    result = run(sandbox, source, *map(Check, cases))
    outcomes = [None if v == "runtime_error" else v == "passed" for v in result.verdicts]
    assert dict(zip(cases, outcomes, strict=True)) == cases
    inside = [code for code, detail in zip(cases, result.details, strict=True) if "inside" in detail]
    assert set(inside) == {
        "for i in range(3):\n    assert f(i) == [i, 2 * i]",
        "assert g() != [1]",
        "assert h() == 5",
        "assert f(1) or f(2)",
        "assert f(1) is not f(1)",
        "y = f(1)\nassert y == [1, 2]",
        "min, max = [0], [9]\nassert min < f(1) < max",
        "assert near(f(1))",
        "assert f(1).__eq__([1, 2])",
        "assert all(f(x)[1] == 2 * x for x in range(3))",
    }


def test_what_pythons_functions_return_instead_of_lists_can_be_asserted_about(sandbox):
    source = "def f(n): return (i * i for i in range(n))\ndef g(n): return map(str, {3: n, 1: n}.keys())"
    checks = [
        "list(f(3)) == [0, 1, 4]",
        "sum(f(3)) == 5",
        "sorted(f(2)) == [0, 1]",
        "list(f(3)) == [0, 1, 5]",
        "f(0) == []",
    ]
    result = run(sandbox, source, *(Check(f"assert {check}") for check in checks))
    assert result.passed == (True, True, True, False, False) and not any(result.details[:3])
    generic = Program(source, [Check("assert list(g(0)) == ['3', '1']"), Check("assert '3' in g(0)")], "g")
    result = sandbox.submit(generic).result()
    assert result.passed == (True, True) and not any(result.details)
    assert verdicts(sandbox, "def f(n):\n    while True: yield n", Check("assert 1 in f(1)"))[0] in (
        "memory_limit",
        "timeout",
    )


def test_what_a_check_defines_is_not_seen_by_the_program(sandbox):
    source = "def f(x): return globals().get('y', x)"
    assert verdicts(sandbox, source, Check("y = 7\nassert f(y - 6) == 1"), Check("assert f(2) == 2")) == ["passed"] * 2


def test_a_test_function_is_taken_apart(sandbox):
    code = """
METADATA = {"author": "x"}
def check(candidate):
    "Says something."
    import math
    assert candidate(1) == 2, "a message"
    assert True, "nothing is tested here"
    assert math.isclose(candidate(4), 5)
    print("passed")
    assert sorted([candidate(x) for candidate in (abs,) for x in [2]] + [candidate(3)]) == [2, 4]
check(f)
"""
    checks = split_test_function(code, "f")
    assert [c.code.removeprefix("import math\n") for c in checks] == [
        "assert f(1) == 2, 'a message'",
        "assert math.isclose(f(4), 5)",
        "assert sorted([f(x) for f in (abs,) for x in [2]] + [f(3)]) == [2, 4]",
    ]
    right, wrong = run(sandbox, "def f(x): return x + 1", *checks), run(sandbox, "def f(x): return 2", *checks)
    assert right.all_passed and wrong.passed == (True, False, False)
    assert [bool(detail) for detail in right.details] == [False, False, True]  # the last is not taken apart
    for code in ("x = 1", "def check(c):\n    ok(c(1))\ndef ok(v):\n    assert v", "def check(a, b):\n    assert a"):
        with pytest.raises(SyntaxError, match="function of one argument"):
            split_test_function(code, "f")


def test_a_detail_can_be_printed_anywhere(sandbox):
    hostile = "def f(x): raise ValueError('\\x1b[2J\\ud800\\n' * 100)"
    detail = run(sandbox, hostile, Call((1,), 1)).details[0]
    assert detail.isascii() and detail.isprintable() and len(detail) <= 300 and "ValueError" in detail


def test_a_script_ends_as_python_ends_it(sandbox):
    for source in (
        "import atexit, sys\natexit.register(lambda: print(7))",
        "out = open(1, 'w', closefd=False)\nout.write('7')",
        "import sys\nsys.stdout = open(1, 'w')\nprint(7)",
        "class D:\n    def __del__(self): print(7)\nd = D()",
    ):
        assert verdicts(sandbox, source, StdIO("", "7")) == ["passed"], source


def test_a_function_named_like_a_builtin_is_still_tested(sandbox):
    own = Program("def f(x): return [x]\ndef len(xs): return 99", [Check("assert len(f(1)) == 99")], "f")
    assert not sandbox.submit(own).result().all_passed  # what an assertion uses cannot be redefined by the program
    wrong = Program("def sum(xs): return 0", [Check("assert sum([1, 2]) == 3")])
    assert not sandbox.submit(wrong).result().all_passed
    assert not sandbox.submit(Program("len = lambda xs: 0", [Check("assert len([1, 2]) == 2")])).result().all_passed


@pytest.mark.parametrize(
    "source",
    [
        "class E:\n    __eq__ = lambda *a: True\n    __hash__ = lambda s: 0\ndef f(x): return E()",
        "class E(int):\n    __eq__ = lambda *a: True\n    __class__ = str\ndef f(x): return E(1)",
        "class E(list):\n    __eq__ = lambda *a: True\n    __len__ = lambda *a: 1\ndef f(x): return E([1])",
        "class M(type):\n    __eq__ = lambda *a: True\n    __instancecheck__ = lambda *a: True\n"
        "class E(metaclass=M): pass\ndef f(x): return E",
        "import builtins, json\nbuiltins.all = lambda *a: True\njson.dumps = lambda *a: 'true'\ndef f(x): return 1",
        "import os\ndef f(x):\n    for fd in range(256):\n        try: os.write(fd, b'R\\0\\0\\0\\4true')\n"
        "        except OSError: pass\n    os._exit(0)",
        "import sys\ndef f(x):\n    frame, seen = sys._getframe(), []\n    while frame:\n"
        "        seen += [v for v in frame.f_locals.values() if isinstance(v, int)]\n        frame = frame.f_back\n"
        "    return max(seen)",
        "import gc\ndef f(x): return max([v for d in gc.get_objects() if isinstance(d, dict) for v in d.values()"
        " if type(v) is int and v > 2**60] or [0])",
        "import os\nos.dup2(3, 1)\nprint('passed')\ndef f(x): return 1",
        "import os\nos.write(3, b'R\\0\\0\\0\\4true')\ndef f(x): return 1",
        "import os\ndef f(x): os.write(3, b'\\xff\\0\\0\\0\\4true'); os._exit(0)",
        "import os\ndef f(x): os.write(3, b'L\\0\\0\\0\\0'); os.kill(os.getpid(), 40)",
        "import os\ndef f(x): os.write(3, b'R\\xff\\xff\\xff\\xff'); os._exit(0)",
        "import os\nos.chmod('.', 0)\nos.close(3)\ndef f(x): return 1",
        "import json, os\nos.write(3, b'L\\0\\0\\0\\0' + b'R\\0\\0\\0\\4true' * 100)\nos._exit(0)",
    ],
)
def test_forgeries_do_not_pass(sandbox, source):
    secret = random.getrandbits(80)
    result = run(sandbox, source, Call((1,), secret), Check(f"assert f(1) == {secret}"), Call((2,), [secret]))
    assert not any(result.passed) and Verdict.sandbox_error not in result.verdicts, result
    assert verdicts(sandbox, "def f(x): return x", Call((1,), 1)) == ["passed"]  # the pool is well


def test_programs_see_no_environment_no_files_and_no_trace_of_each_other(sandbox, monkeypatch):
    monkeypatch.setenv("MINIRL_SECRET", "secret")
    source = """
        import os
        def f(x):
            listing = os.listdir(".")
            open("file", "w").write("x")
            return ["secret" in str(os.environ), listing]
    """
    with Sandbox(workers=1) as pool, Sandbox(workers=1) as fresh:
        for _ in range(2):
            assert run(pool, source, Call((0,), [False, []])).passed == (True,)
        assert run(fresh, source, Call((0,), [False, []])).passed == (True,)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can change its user id")
def test_started_as_root_a_program_is_somebody_else(sandbox):
    source = "import os\ndef f(x): return [0 in os.getresuid() + os.getresgid(), os.getgroups()]"
    assert verdicts(sandbox, source, Call((0,), [False, []])) == ["passed"]


# Comparison and wire format


def test_equality_is_pythons_with_a_tolerance_for_floats():
    nan = float("nan")
    same = [
        (1, 1.0),
        (1, True),
        (0.1 + 0.2, 0.3),
        (nan, nan),
        ([1.0, (2,)], [1, (2,)]),
        ({1, 2}, {2, 1}),
        (10**400, 10**400),
    ]
    same += [({"a": 0.3}, {"a": 0.1 + 0.2}), (b"a", b"a"), (float("inf"), float("inf")), ({}, {})]
    different = [
        (1, 2),
        (1, "1"),
        ([1], (1,)),
        ((1,), [1]),
        ([1], [1, 1]),
        (None, 0),
        (None, False),
        ({1}, [1]),
        (0.5, "0.5"),
    ]
    different += [({"a": 1}, {"a": 1, "b": 2}), (nan, 1.0), (10**400, 1.5), ({1}, frozenset({2})), (1, Opaque("E"))]
    different += [([1], [Opaque("E")]), (1.0, Opaque("E")), ({"a": 1}, {"a": Opaque("E")}), ("ab", b"ab")]
    assert [pair for pair in same if not equal(*pair)] == []
    assert [pair for pair in different if equal(*pair)] == []


def test_output_is_compared_by_tokens():
    assert same_output("1 2\n3\n", "1  2 \n3")
    assert same_output("0.333333", "0.33333333")
    assert not same_output("1 2", "12") and not same_output("1 2", "1") and not same_output("1", "1.5")
    assert not same_output("1000001", "1000002") and not same_output("yes", "Yes")


def test_decode_inverts_encode_and_refuses_anything_else():
    value = [(1, {"a": {2, 3}}), 2**70, b"x", float("-inf"), None, {(1,): [True]}]
    assert decode(json.loads(json.dumps(encode(value)))) == value
    for bad in ({"nonsense": 1}, {"tuple": [], "set": []}, {}, {"set": [[1]]}, {"int": "x"}, {"dict": [[1]]}):
        with pytest.raises((ValueError, TypeError)):
            decode(bad)
    assert repr(decode(encode(object()))) == "<object object>"


def test_a_subclass_is_sent_as_its_base():
    class Liar(list):
        def __iter__(self):
            return iter([42])

    assert encode(Liar([1, 2])) == [1, 2]
    assert encode(type("Liar", (), {"__class__": int})()) == {"object": "Liar"}
    assert encode(type("Liar", (), {"__class__": int, "__len__": lambda self: 0})()) == {"opaque": "Liar"}
    assert encode(type("Text", (str,), {"__str__": lambda self: "lie"})("true")) == "true"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"args": 3, "expected": 4}, "args"),
        ({}, "stdin"),
        ("x", "expected"),
    ],
)
def test_a_malformed_test_is_refused_in_words(row, words):
    with pytest.raises(ValueError, match=words):
        read_test(row)


# The pool


def test_map_keeps_the_order_and_runs_identical_programs_once(sandbox, monkeypatch):
    tests = [Call((3,), 9)]
    sources = ["def f(x): return 9", "def f(x): return 8"] * 5
    submitted = []
    submit = sandbox.submit
    monkeypatch.setattr(sandbox, "submit", lambda program: submitted.append(program) or submit(program))
    results = list(sandbox.map(Program(source, tests, "f") for source in sources))
    assert [result.all_passed for result in results] == [True, False] * 5
    assert len(submitted) == 2


def kill_workers(pool, times, pause=0.3):
    for _ in range(times):
        time.sleep(pause)
        for worker in pool._workers:
            os.killpg(worker.process.pid, signal.SIGKILL)
        time.sleep(0.5)  # the worker starts anew


def test_a_killed_worker_is_replaced_and_its_job_done_again():
    source = "import time\ndef f(x):\n    time.sleep(0.7)\n    return x"
    with Sandbox(workers=1) as pool:
        future = pool.submit(Program(source, [Call((1,), 1)], "f"))
        kill_workers(pool, times=1)
        assert future.result(timeout=30).all_passed


def test_a_reply_that_breaks_off_is_no_reply(tmp_path):
    worker = Worker({}, tmp_path / "0")
    for reply, whole in ((b'[["returned", 4, 0.1]]\n12', False), (b'[["returned", 2, 0.1]]\n12\n', True)):
        reading, writing = os.pipe()
        os.write(writing, reply)
        os.close(writing)
        with open(reading, "rb") as replies:
            worker.process = types.SimpleNamespace(stdin=io.BytesIO(), stdout=replies)
            with contextlib.nullcontext() if whole else pytest.raises(OSError, match="has died"):
                assert worker.ask([], patience=5) == [("returned", b"12", 0.1)]


@pytest.mark.parametrize("error", [MemoryError, OverflowError])
def test_after_whatever_error_no_program_gets_the_reply_of_another(monkeypatch, error):
    right, wrong = (Program(f"def f(x): return {x}", [Call((0,), 1)], "f") for x in (1, 2))
    with Sandbox(workers=1) as pool:
        receive, failures = Worker.receive, [error, error]
        monkeypatch.setattr(
            Worker, "receive", lambda *a, **k: raise_it(failures.pop()) if failures else receive(*a, **k)
        )
        found = [pool.submit(program).result().verdicts[0] for program in (right, wrong, right)]
    assert found == ["sandbox_error", "wrong_answer", "passed"]


def raise_it(error):
    raise error


def test_long_limits_of_many_tests_are_possible():
    program = Program("def f(x): return x", [Call((1,), 1)] * 50, "f", cpu_seconds=900_000)
    with Sandbox(workers=1) as pool:
        assert pool.submit(program).result().all_passed


def test_a_worker_that_dies_twice_gives_sandbox_error_and_the_pool_goes_on():
    with Sandbox(workers=1, cpu_seconds=3) as pool:
        future = pool.submit(Program("import time\ndef f(x): time.sleep(9)", [Call((1,), 1)] * 2, "f"))
        kill_workers(pool, times=2)
        result = future.result(timeout=30)
        assert result.verdicts == (Verdict.sandbox_error,) * 2 and not any(result.passed)
        assert verdicts(pool, "def f(x): return x", Call((1,), 1)) == ["passed"]


def test_wrong_settings_are_refused_in_words():
    with pytest.raises(ValueError, match="no such layer: no_such_layer; there are limits"):
        Sandbox(workers=1, require=("limits", "no_such_layer"))
    with Sandbox(workers=1, require="limits") as pool:
        assert pool.layers["limits"]
    with pytest.raises(ValueError, match="workers"):
        Sandbox(workers=0)
    pool.close()
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(Program("", []))


def test_what_is_no_program_is_refused_and_harms_nobody(sandbox):
    for wrong in ("x", Program("", None), Program("", (Call((1,), 2) for _ in "12"))):
        with pytest.raises(TypeError, match="a Program with a list of tests"):
            sandbox.submit(wrong)
    for wrong in (
        Program(b"def f(x): return x", [Call((1,), 1)] * 2, "f"),
        Program("", [Call((1,), 1)], frozenset("f")),
    ):
        assert set(sandbox.submit(wrong).result(timeout=30).verdicts) == {"sandbox_error"}
        for _ in range(4):  # on both workers
            assert verdicts(sandbox, "def f(x): return x", Call((1,), 1), Call((1,), 2)) == ["passed", "wrong_answer"]
    sandbox.sandbox_errors = 0


def processes_of(marker):
    """Processes whose command line holds the marker (zygote, supervisor and runner share theirs)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if marker in (entry / "cmdline").read_text() and "State:\tZ" not in (entry / "status").read_text():
                found.append(int(entry.name))
        except OSError:
            pass
    return found


TRAINER = """
import os, sys, time
from sandbox import *
pool = Sandbox(workers=2, cpu_seconds=60)
print(pool._folder, flush=True)
futures = [pool.submit(Program(source, [Call((0,), 0)], "f")) for source in (
    "def f(x):\\n    while True: pass", "import time\\ndef f(x): time.sleep(100)", "def f(x): return 1")]
time.sleep(0.5)
print("running", flush=True)
"""


UNREAD = """
import os, time
from sandbox import *
pool = Sandbox(workers=1)
print(pool._folder, flush=True)
Worker.receive = lambda *_: time.sleep(60)
pool.submit(Program("def f(x): return 'x' * 7_000_000", [Call((0,), 0)], "f"))
time.sleep(1)
print("running", flush=True)
os.kill(os.getpid(), 9)
"""


@linux
@pytest.mark.parametrize("end", ["SIGKILL", "SIGINT", "SIGTERM", "exception", "exit", "exit without close", "unread"])
def test_however_the_trainer_ends_no_process_is_left(end):
    ends = {"exception": "with pool: raise ValueError", "exit": "with pool: sys.exit()", "exit without close": ""}
    code = TRAINER + ends.get(end, "with pool: futures[0].result()")
    code = UNREAD if end == "unread" else code  # a reply that its supervisor cannot be rid of
    trainer = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    folder = trainer.stdout.readline().strip()
    assert trainer.stdout.readline().strip() == "running"
    if end.startswith("SIG"):
        assert len(processes_of(folder)) >= 4
        trainer.send_signal(getattr(signal, end))
    trainer.wait(timeout=10)
    trainer.stdout.close()
    deadline = time.monotonic() + 0.5
    while (processes_of(folder) or Path(folder).exists()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes_of(folder) == [] and not Path(folder).exists()


def test_the_command_line_runs_one_program_and_tests_itself(tmp_path):
    (tmp_path / "program.py").write_text("def f(x): return x * x\n")
    tests = {"entry_point": "f", "tests": [{"args": [3], "expected": 9}, {"assert": "f(2) == 5"}]}
    (tmp_path / "tests.json").write_text(json.dumps(tests))
    command = [sys.executable, str(ROOT / "sandbox.py")]
    done = subprocess.run(
        [*command, tmp_path / "program.py", tmp_path / "tests.json"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 1 and "passed" in done.stdout and "wrong_answer" in done.stdout and "got" in done.stdout
    (tmp_path / "broken.json").write_text('{"entry_point": "f", "tests": [{"assert": "f(2) =="}]}')
    for files in (["no.py", "no.json"], [tmp_path / "program.py", tmp_path / "broken.json"]):
        missing = subprocess.run([*command, *files], capture_output=True, text=True)
        assert missing.returncode == 2 and "Traceback" not in missing.stderr and missing.stderr.count("\n") == 1
    alone = subprocess.run(command, capture_output=True, text=True)
    assert alone.returncode == 0 and "FAIL" not in alone.stdout and "an endless loop" in alone.stdout


@linux
def test_a_forked_child_of_the_trainer_does_not_keep_workers_alive():
    code = TRAINER + "if os.fork() == 0: time.sleep(30)\nos._exit(0)"
    trainer = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    folder = trainer.stdout.readline().strip()
    trainer.wait(timeout=10)
    deadline = time.monotonic() + 1
    while processes_of(folder) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes_of(folder) == []


def test_many_trainers_may_start_at_once():
    code = "from sandbox import *\nfor _ in range(4):\n    with Sandbox(workers=1): pass"
    trainers = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) for _ in range(6)]
    assert [trainer.wait(timeout=60) for trainer in trainers] == [0] * 6


def test_closing_while_programs_are_submitted_leaves_no_future_undone():
    for _ in range(5):
        pool, futures = Sandbox(workers=2), []

        def submit(pool=pool, futures=futures):
            try:
                while True:
                    futures.append(pool.submit(Program("def f(x): return x", [Call((1,), 1)], "f")))
            except RuntimeError:
                pass

        thread = threading.Thread(target=submit)
        thread.start()
        time.sleep(0.05)
        pool.close()
        thread.join(timeout=10)
        for future in futures:
            assert future.cancelled() or isinstance(future.exception(timeout=10), SandboxError | None)


def test_a_worker_that_cannot_be_started_is_tried_again(sandbox, monkeypatch):
    program = Program("def f(x): return x", [Call((1,), 1)], "f")
    with Sandbox(workers=1) as pool:
        popen, failures = subprocess.Popen, [OSError("no more processes")] * 3
        monkeypatch.setattr(
            sandbox_module.subprocess,
            "Popen",
            lambda *args, **kwargs: popen(*args, **kwargs) if not failures else raise_(failures.pop()),
        )
        os.killpg(pool._workers[0].process.pid, signal.SIGKILL)
        verdicts = [str(pool.submit(program).result(timeout=20).verdicts[0]) for _ in range(4)]
        assert verdicts == ["sandbox_error", "sandbox_error", "passed", "passed"] and pool.sandbox_errors == 2


def raise_(error):
    raise error


def test_on_windows_one_sentence_points_to_wsl():
    code = "import sys; sys.platform = 'win32'; import sandbox"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "WSL" in done.stderr and done.stderr.count("\n") == 1


# Assertions: what was never checked has not passed, and what cannot be taken apart runs alone and says so


def noted(sandbox, source, *checks, entry_point="f"):
    """For each assertion: does it pass, and is it said that it ran inside?"""
    result = sandbox.submit(Program(textwrap.dedent(source), [*map(Check, checks)], entry_point)).result()
    return [(passed, "inside" in detail) for passed, detail in zip(result.passed, result.details, strict=True)]


@pytest.mark.parametrize(
    "code",
    [
        "def test_f():\n    assert f(1) == 2",
        "class T:\n    def test(self):\n        assert f(1) == 2",
        "if __name__ == '__main__':\n    assert f(1) == 2",
        "for x in []:\n    assert f(x) == 2",
        "try:\n    assert f(1) == 2\nexcept AssertionError:\n    pass",
    ],
)
def test_a_test_of_which_no_assertion_held_has_not_passed(sandbox, code):
    result = run(sandbox, "def f(x): return 7", Check(code))
    assert result.passed == (False,) and result.details == ("no assertion of this test was reached",)


def test_an_assertion_that_is_always_true_is_refused():
    for code, words in (
        ("assert (f(1) == 1, 'message')", "tuple in parentheses is always true"),
        ("if f(1):\n    assert (f(1) == 1, 'message')", "tuple in parentheses is always true"),
        ("assert True", "an assert statement that can fail"),
        ("x = f(1)", "an assert statement that can fail"),
        ("f(1) ==", "invalid syntax"),
    ):
        with pytest.raises(ValueError, match=re.escape(f"not an assert statement: {code!r:.80} (") + ".*" + words):
            prepare(Program("", [read_test({"assert": code})], "f"))


def test_a_test_function_that_is_more_than_a_list_of_assertions_is_one_test(sandbox):
    for body in (
        "    def run(a, b):\n        assert candidate(a) == b\n    run(1, 2)\n    run(3, 4)",
        "    if candidate(0) != 1:\n        return\n    assert candidate(1) == 2",
        "    global seen\n    seen = candidate(1)\n    assert seen == 2",
        "    apply = lambda candidate: candidate + 1\n    assert apply(1) == candidate(1)",
        "    for i in range(3):\n        assert candidate(i) == i + 1\n    assert candidate(i) == 3",
        "    assert [f(1) for f in (abs,)] == [1]\n    assert candidate(1) == 2",
        "    x = 7\n    assert candidate(x) == 8",
        "    import math as f\n    assert candidate(1) == 2",
        "    for candidate in (candidate,):\n        assert candidate(1) == 2",
    ):
        (check,) = split_test_function("def check(candidate):\n" + body, "f")
        assert noted(sandbox, "def f(x): return x + 1", check.code) == [(True, True)], body
        assert noted(sandbox, "def f(x): return 1", check.code) == [(False, False)], body


def test_what_a_setup_asserts_or_calls_math_is_not_taken_apart(sandbox):
    source = "def f(x): return x"
    assert noted(sandbox, source, "assert f(1) == 1\nassert f(2) == 2") == [(True, True)]
    assert noted(sandbox, source, "import cmath as math\nassert math.sqrt(f(-4)) == 2j") == [(True, True)]


def test_an_assertion_that_can_only_fail_is_a_test(sandbox):
    checks = split_test_function("def check(g):\n    assert g(1) == 1\n    assert True\n    assert False, 'never'", "f")
    assert noted(sandbox, "def f(x): return x", *(check.code for check in checks)) == [(True, False), (False, False)]


def test_what_python_would_not_evaluate_is_not_asked_for(sandbox):
    source = "def f(xs): return xs"
    checks = (
        "assert not (f([]) and f([])[0] == 5)",
        "assert not 1 < f(0) < f([])[0]",
        "assert f([1]) and f([1])[0] == 1",
    )
    assert noted(sandbox, source, *checks) == [(True, True), (True, True), (True, False)]


def test_what_the_setup_binds_is_not_the_programs_answer(sandbox):
    right = "def f(x): return x\ndef isclose(a, b): return True"
    for code, entry_point in (
        ("from math import isclose\nr = f(1)\nassert isclose(r, 1)", None),
        ("from math import isclose\nassert isclose(f(1), 1)", "isclose"),
        ("from math import *\nassert isclose(1, 1)", "isclose"),
        ("def f(x): return 5\nassert f(1) == 5", "f"),
        ("assert f(1) == 1", None),
    ):
        assert noted(sandbox, right, code, entry_point=entry_point) == [(True, True)], code
        assert seen([Check(code)], entry_point)[0][0] == "alone", code


def test_a_test_that_runs_inside_or_has_a_setup_is_alone_in_its_process(sandbox):
    """The numbers are long ones: four digits are found in some address, once in thirty runs."""
    whole, split = (
        Check("for i in (1, 2):\n    assert f(i) == 7300610001"),
        Check("x = 7300610002\nassert f(x) == 7300610003"),
    )
    tests = [whole, split, Call((1,), 7300610004), Check("import math\nassert f(math.pi) == 7300610005")]
    assert [kind for kind, _ in seen(tests)] == ["alone", "alone", "", ""]
    told = [line for _, line in seen(tests)]
    assert "7300610001" in told[0] and not any(str(n) in text for n in range(7300610003, 7300610006) for text in told)
    source = """
        import sys
        def f(x):
            frame, text = sys._getframe(), ""
            while frame:
                text += str(frame.f_locals)
                frame = frame.f_back
            return [7300610000 + n for n in range(1, 6) if str(7300610000 + n) in text]
    """
    spies = [
        Call((1,), []),
        Check("assert f(1) == []"),
        whole,
        split,
        Check("y = 7300610002\nassert f(y) == [7300610002]"),
    ]
    assert run(sandbox, source, *spies).passed == (True, True, False, False, True)


VALUES = {  # an answer that is no plain data: assertions about it that plain Python finds right, and wrong
    "itertools.permutations([1, 2])": ("list({}) == [(1, 2), (2, 1)]", "list({}) == [(1, 2)]"),
    "iter([2, 1])": ("sorted({}) == [1, 2]", "sum({}) == 4"),
    "range(4)": ("len({}) == 4 and 3 in {} and {}[1] == 1", "4 in {}"),
    "deque([1, 2])": ("list({}) == [1, 2] and len({}) == 2", "max({}) == 1"),
    "{1: 2}.keys()": ("{} == {{1}}", "{} == {{2}}"),
    "{1: 2}.items()": ("{} == {{(1, 2)}}", "dict({}) == {{1: 3}}"),
    "Counter('aab')": ("{} == {{'a': 2, 'b': 1}}", "{}['a'] == 1"),
    "bytearray(b'ab')": ("{} == b'ab'", "{} == b'a'"),
    "array.array('i', [1, 2])": ("list({}) == [1, 2] and sum({}) == 3", "len({}) == 3"),
    "Fraction(1, 2)": ("{} == 0.5 and str({}) == '1/2'", "{} == 0.25"),
    "Decimal('2.50')": ("{} == 2.5 and str({}) == '2.50'", "{} == 2"),
    "datetime.date(2020, 2, 3)": ("str({}) == '2020-02-03' and {}.year == 2020", "{}.year == 2021"),
    "re.search('a', 'cat')": ("{}", "not {}"),
    "(x for x in 'ab')": ("''.join({}) == 'ab'", "''.join({}) == 'ba'"),
    "[0] * 10 ** 6": ("len({}) == 1000000 and sum({}) == 0", "len({}) == 10"),
}


@pytest.mark.parametrize("value", VALUES)
def test_an_assertion_may_be_about_what_is_no_plain_data(sandbox, value):
    source = (
        "import array, datetime, itertools, re\nfrom collections import Counter, deque\nfrom decimal import Decimal\n"
    )
    source += f"from fractions import Fraction\ndef f(): return {value}"
    right, wrong = (f"assert {condition.format(*['f()'] * 9)}" for condition in VALUES[value])
    exec(f"{source}\n{right}", {})
    with pytest.raises(AssertionError):
        exec(f"{source}\n{wrong}", {})
    assert noted(sandbox, source, right, wrong) == [(True, False), (False, False)]


# No test file and no program stops the trainer


def test_tests_that_cannot_be_run_are_the_tests_fault_and_end_nothing(sandbox):
    deep = []
    for _ in range(1000):
        deep = [deep]
    for test, words in (
        (Call((deep,), 1), "nested too deeply"),
        (Check("assert f(1) == " + "+".join(["1"] * 3000)), "nested too deeply"),
        (StdIO("x" * (10 << 20) + "x", ""), "standard input of 10485761 bytes"),
        (Check("assert f("), "not an assert statement: 'assert f('"),
    ):
        before = sandbox.sandbox_errors
        result = run(sandbox, "def f(x): return 1", test, Call((1,), 1))
        assert result.verdicts == ("sandbox_error",) * 2 and words in result.details[0]
        assert sandbox.sandbox_errors == before + 1
    sandbox.sandbox_errors = 0
    long = 10**5735
    checks = [Check(f"assert f(1) {end}") for end in (f"== {long}", f"!= {long + 1}", f"== {long + 1}")]
    assert run(sandbox, "def f(x): return 10 ** 5735", *checks).passed == (True, True, False)
    keys = {i: str(i) for i in range(20_000)}
    assert run(sandbox, "def f(d): return len(d)", Call((keys,), 20_000)).all_passed
    assert run(sandbox, "print(len(input()))", StdIO("x" * 9_000_000, "9000000")).all_passed


@pytest.mark.parametrize(("end", "verdict"), [("return x", "passed"), ("os._exit(0)", "runtime_error")])
def test_a_program_that_waits_in_each_of_its_tests_is_timed_out(end, verdict):
    """Wall time counts for all tests together, here 2.4 seconds, also that of runners which died; a busy machine's does
    not."""
    with Sandbox(workers=1, cpu_seconds=0.1, max_timeouts=2) as pool:
        source = f"import os, time\ndef f(x):\n    time.sleep(0.09)\n    {end}"
        result = pool.submit(Program(source, [Call((i,), i) for i in range(60)], "f")).result()
    assert result.verdicts[:15] == (verdict,) * 15 and set(result.verdicts[35:]) <= {"timeout", "skipped"}


def test_what_a_program_prints_costs_no_multiple_of_it_in_the_trainer():
    code = """
import sys
sys.path.insert(0, ".")
from sandbox import Program, Sandbox, StdIO
with Sandbox(workers=4, cpu_seconds=5) as pool:
    tests = [StdIO("", "x")] * 2
    source = "import os\\nfor i in range(120): os.write(1, DATA * 2**16) # "
    sources = [source.replace("DATA", data) for data in ("bytes([1])", "bytes([255])")] * 4
    results = list(pool.map(Program(source + str(i), tests) for i, source in enumerate(sources)))
    assert all(set(result.verdicts) == {"wrong_answer"} for result in results), results
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 20_000 + 4 * 60_000, done.stdout  # kB


def test_numbers_on_standard_output():
    right = "0.000010 0.0000096, 0.0 0.00000001, 1e-05 0.00001, 3 2.9999999999, 0 -0.0, 6 6.0, 0.333333333333 0.333333"
    wrong = "inf 1e999, 9007199254740993 9007199254740992.0, 3 4, 3 3.1, 0.5 0.50001, 1.0 1_0.0, 7 07, nan 0.0"
    big = "1" + "0" * 400
    for pair in [*right.split(", "), f"{big} {big}.0"]:
        assert same_output(*pair.split()), pair
    for pair in [*wrong.split(", "), f"{big}.5 inf", f"{big}.5 1e999"]:
        assert not same_output(*pair.split()), pair


def test_what_json_cannot_say_is_no_difference(sandbox):
    row = {"args": [0], "expected": [{"1": [1, [2]], "-1": {"2": None}}, "1"]}
    for value in ("({1: (1, [2]), -1: {2: None}}, '1')", "[{'1': (1, (2,)), '-1': {'2': None}}, '1']"):
        assert run(sandbox, f"def f(x): return {value}", read_test(row)).all_passed, value
    for value in (
        "{1: [1, [2]], '1': [1, [2]], -1: {2: None}}, '1'",
        "{1: [1, [2]], -1: {2: None}}, 1",
        "{1: [1, [2]]}, '1'",
        "{1: [1, {2}], -1: {2: None}}, '1'",
    ):
        assert not run(sandbox, f"def f(x): return [{value}]", read_test(row)).all_passed, value


@pytest.mark.skipif(sys.platform != "linux", reason="mount namespaces")
def test_installed_packages_are_out_of_sight(sandbox):
    if not sandbox.layers["read_only"]:
        pytest.skip("this machine does not offer mount namespaces")
    library = Path(os.__file__).parent  # Debian has packages of its own beside it
    folders = [library / "site-packages", library / "dist-packages", library.parent / "python3" / "dist-packages"]
    folders = [str(folder) for folder in folders if folder.is_dir() and any(folder.iterdir())]
    if not folders:
        pytest.skip("this Python has no packages")
    code = f"import os\ndef f(x): return [os.listdir(folder) for folder in {folders}]"
    assert run(sandbox, code, Call((1,), [[] for _ in folders])).all_passed


ASSERTIONS = {  # a program and assertions about it, of which plain Python says whether they hold
    "B = []\ndef f(n):\n    B.append(n)\n    return B": [
        "f(1) == [1] and f(2) == [1, 2]",
        "f(1) == [1, 2] and f(2) == [1, 2]",
    ],
    "from fractions import Fraction\ndef f(x): return Fraction(1, x)": [
        "isinstance(f(2), float) and f(2) == 0.5",
        "f(2) == 0.5",
    ],
    "def f(x): return dict.fromkeys(x).keys()": [
        "isinstance(f([1]), set)",
        "f([1, 2]) == {2, 1}",
    ],
    "def f(b): return sum(map(sum, b))": [
        "b = [[0], [0]]; b[0][0] = 7; assert f(b) == 7",
        "b = [[0], [0]]; b[0][0] = 7; assert f(b) == 0",
    ],
    "def f(d): return d.get('a', 0)": [
        "d = {}; d['a'] = 1; assert f(d) == 1",
        "d: dict = dict(); d['a'] = 1; assert f(d) == 1",
    ],
    "import random\ndef f(): return random.random()": [
        "import random; random.random = lambda: 0.5; assert f() == 0.5",
    ],
    "def f(x): return x + 1": [
        "def g(): return L\nL = 5\nassert f(g()) == 6",
        "xs = [1, 2]; xs[0], xs[1] = xs[1], xs[0]; assert f(xs[0]) == 3",
    ],
    "def f(x):\n    if x < 0: raise ValueError\n    return x": [
        "try:\n    f(-1)\n    assert False\nexcept ValueError:\n    pass",
        "try:\n    f(1)\n    assert False\nexcept ValueError:\n    pass",
        "try:\n    f(-1)\nexcept ValueError:\n    pass\nelse:\n    assert False",
    ],
    "import datetime\ndef f(y): return datetime.date(y, 1, 1)": [
        "f(2020) == f(2020)",
        "f(2020) < f(2019)",
        "f(2020) != f(2021)",
    ],
    "import enum\nclass E(enum.Enum):\n    A = 1\ndef f(x): return E.A": [
        "f(1)",
        "not f(1)",
        "f(1) == f(2)",
    ],
    "from fractions import Fraction as F\ndef f(x): return F(x, 2)": [
        "f(1) and f(1) > 0.4 and abs(f(1) - 0.5) < 1e-6 and f(1) in {0.5} and 2 * f(1) == 1",
        "not f(0) and {f(2): [f(1)]} == {1: [0.5]}",
        "f(1) < 0.5",
    ],
    "from decimal import Decimal\ndef f(x): return Decimal(x)": [
        "f('Infinity') == float('inf')",
        "f('NaN') is not None",
        "str(f('NaN')) == 'NaN'",
    ],
    "def f(n): return (i * i for i in range(n))": [
        "all(f(1))",
        "any(f(2)) and not all(f(2))",
        "all(x >= 0 for x in f(3))",
        "4 in f(3) and 5 not in f(3)",
    ],
    "def f(x): return lambda y: [x + y]": [
        "f(1)(2) == [3]",
        "f(1)(2)[0] == 4",
    ],
    "class S(str): pass\ndef f(x): return S('hello')": [
        "'ell' in f(1)",
        "'ell' not in f(1)",
    ],
    "def f(x): return bytearray(b'hello') if x else {1: {2}}": [
        "b'ell' in f(1) and 101 in f(1)",
        "b'ell' not in f(1)",
        "1 in f(0) and 2 not in f(0) and 2 in f(0)[1]",
    ],
    "a = []\ndef f(x):\n    a.append(x)\n    return a": [
        "[f(1), f(2)] == [[1], [1, 2]]",
        "f(3)[:1] == [1] and len(f(4)) == 4",
    ],
    "from enum import IntEnum\nclass One(IntEnum):\n    A = 1\ndef f(x): return One.A if x else range(3)": [
        "f(1) is 1",
        "f(1) == 1",
        "str([f(1)]) == '[1]'",
        "not isinstance(f(0), range)",
        "isinstance(f(0), list)",
    ],
    "from collections import Counter\ndef f(s): return Counter(s)": [
        "f('aab') - f('ab') == {'a': 1}",
        "isinstance(f('a'), dict)",
    ],
}


@pytest.mark.filterwarnings("ignore:.*is.* with a literal:SyntaxWarning")
@pytest.mark.parametrize("source", ASSERTIONS)
def test_an_assertion_passes_where_it_holds_in_plain_python(sandbox, source):
    codes = [code if "assert" in code else f"assert {code}" for code in ASSERTIONS[source]]
    result = run(sandbox, source, *map(Check, codes))
    for code, passed in zip(codes, result.passed, strict=True):
        namespace = {}
        with contextlib.ExitStack() as stack:
            stack.callback(setattr, random, "random", random.random)
            exec(source, namespace)
            try:
                exec(code, namespace)
            except AssertionError:
                assert not passed, code
            else:
                assert passed, (code, result)


@pytest.mark.parametrize(
    "tail",
    [
        "    if candidate(2) != 4:\n        raise AssertionError('bad')",
        "    try:\n        candidate(-1)\n    except ValueError:\n        pass\n"
        "    else:\n        raise AssertionError",
        "    close(candidate(2), 4)",
        "    import unittest\n    unittest.TestCase().assertEqual(candidate(2), 4)",
        "    check_large(candidate)",
        "    g = candidate(2)\n    assert g == 4",
        "    seen = []\n    for x in (2,):\n        assert candidate(1) == 1\n        seen.append(x)\n"
        "    assert candidate(2) == seen[0] * 2",
    ],
)
def test_no_part_of_a_test_function_is_lost(sandbox, tail):
    helpers = "def close(a, b):\n    assert a == b\ndef check_large(c):\n    assert c(2) == 4\n"
    checks = split_test_function(f"{helpers}def check(candidate):\n    assert candidate(1) == 1\n{tail}\n", "f")
    right = "def f(x):\n    if x < 0: raise ValueError\n    return x * x"
    assert run(sandbox, right, *checks).all_passed
    assert not run(sandbox, "def f(x): return 1", *checks).all_passed


@pytest.mark.parametrize("end", ["", "check_small(f)\ncheck_large(f)"])
def test_of_several_test_functions_none_is_lost(sandbox, end):
    names = ("check", "check_large") if end else ("test_small", "test_large")
    code = f"def {names[0]}(c):\n    assert c(1) == 1\ndef {names[1]}(c):\n    assert c(2) == 4\n"
    checks = split_test_function(code + end.replace("check_small", "check"), "f")
    assert run(sandbox, "def f(x): return x * x", *checks).all_passed
    assert not run(sandbox, "def f(x): return 1", *checks).all_passed
    assert not run(sandbox, "def f(x): return 4 // x + 2", *checks).all_passed


def test_waiting_between_work_counts_too():
    """A program that works a little and waits a lot, in each of its tests, and dies so that it is loaded again."""
    source = """
        import os, time
        def work_and_wait():
            end = time.process_time() + 0.15
            while time.process_time() < end: pass
            time.sleep(1)
        work_and_wait()
        def f(x):
            work_and_wait()
            os._exit(1)
    """
    start = time.monotonic()
    with Sandbox(workers=1, cpu_seconds=0.2) as pool:
        result = run(pool, source, *(Call((i,), i) for i in range(10)))
        assert pool.sandbox_errors == 0 and not any(result.passed)
    assert time.monotonic() - start < 12  # 2.8 s of waiting; 23 s if it were not counted


@pytest.mark.parametrize(
    "end",
    [
        "sys.stdout.close()",
        "with sys.stdout as out:\n    out.write('')",
        "import io\nout = io.TextIOWrapper(sys.stdout.buffer)\nout.write('')",
        "class Fast:\n    text = ''\n    def write(self, s): self.text += s\n"
        "    def flush(self): os.write(1, self.text.encode()); self.text = ''\nsys.stdout = Fast()\nprint('', end='')",
    ],
)
def test_a_script_may_do_with_its_output_what_it_likes(sandbox, end):
    result = run(sandbox, "import os, sys\nprint(input())\nsys.stdout.flush()\n" + end, StdIO("5\n", "5\n"))
    assert result.all_passed, result


def test_a_call_about_what_is_no_plain_data_is_refused():
    from fractions import Fraction

    for call in (
        Call((range(5),), 1),
        Call((abs,), 1),
        Call((Fraction(1, 2),), 1),
        Call((1,), range(5)),
        Call((1,), {1: abs}),
    ):
        with pytest.raises(ValueError, match="no plain data"):
            prepare(Program("", [call], "f"))


def test_odd_escapes_in_the_code_of_others_are_no_warnings():
    """Python 3.12 warns on standard error of every odd escape that ast.parse meets."""
    code = r"""import ast, sandbox; ast.parse('"\d"'); ast.parse('"\q"', 'mine.py')"""
    done = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "mine.py" in done.stderr and "unknown" not in done.stderr


def test_a_program_may_have_a_time_limit_of_its_own():
    """... shorter or longer than the sandbox's, the backstop of the kernel included."""
    busy = "import time\ndef f(x):\n    while time.process_time() < x: pass\n    return x"
    with Sandbox(workers=1, cpu_seconds=0.1) as sandbox:
        programs = [Program(busy, [Call((2.4,), 2.4)], "f", limit) for limit in (None, 4.0, 0.05)]
        timeout, passed, sooner = sandbox.map(programs)
        assert (timeout.verdicts, passed.verdicts, sooner.verdicts) == (("timeout",), ("passed",), ("timeout",))
        assert sooner.seconds[0] < timeout.seconds[0] < 0.2
        assert sandbox.submit(Program(busy, [Call((0,), 0)], "f", -1)).result().verdicts == ("sandbox_error",)
