"""sandbox.py's wire format and comparison on random data: no crash, no false `passed`, no long work."""

import itertools
import json
import math
import random
import time
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import (
    Call,
    Check,
    FromJson,
    Opaque,
    Program,
    Sandbox,
    StdIO,
    Worker,
    decide,
    decode,
    encode,
    judge_reply,
    prepare,
    same_output,
)

settings.register_profile("minirl", deadline=2000, derandomize=True, suppress_health_check=list(HealthCheck))
settings.load_profile("minirl")

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.binary(max_size=9)
scalars |= st.text(st.characters(), max_size=9)
hashable = st.recursive(scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(hashable, inner, max_size=4)
        | st.sets(hashable, max_size=4)
    ),
    max_leaves=20,
)
tags = st.sampled_from(["tuple", "set", "frozenset", "dict", "int", "float", "bytes", "complex", "opaque", "list", ""])
wire = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["0x1", "nan", "ff"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(tags, inner, max_size=2),
    max_leaves=20,
)
REFUSALS = (ValueError, TypeError, ArithmeticError, LookupError, RecursionError, MemoryError)  # of judge_reply()


def compare(expected, data):
    return decide({"options": [encode(expected)], "json_like": False}, data)


def equal(expected, actual):
    return compare(expected, json.loads(json.dumps(encode(actual))))


def same(a, b):
    """A slow, independent equality of an expected value a and an actual one, b."""
    numbers = (bool, int, float)
    if isinstance(a, numbers) and isinstance(b, numbers):
        if isinstance(a, float):
            if math.isnan(a) or math.isnan(b):
                return math.isnan(a) and math.isnan(b)
            try:
                if math.isinf(a) or math.isinf(b):
                    return a == b
                return abs(a - b) <= max(1e-6 * max(abs(a), abs(b)), 1e-9)
            except OverflowError:
                return a == b
        return a == b
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return isinstance(b, dict) and set(a) == set(b) and all(same(a[key], b[key]) for key in a)
    return not isinstance(b, Opaque) and a == b


@given(values)
def test_what_is_sent_arrives(value):
    arrived = decode(json.loads(json.dumps(encode(value))))
    assert repr(arrived) == repr(value) or isinstance(value, set | frozenset | dict) or "{" in repr(value)
    if "nan" not in repr(value):  # a set or dict with nan equals not even itself
        assert equal(value, arrived) and same(value, arrived)


@given(values, values)
def test_equal_agrees_with_a_slow_reference(a, b):
    if "nan" not in repr(a):  # in a set or dict, it equals not even itself
        assert equal(a, b) == same(a, b)


@given(values, st.randoms(use_true_random=False))
def test_a_changed_value_is_not_equal(value, rng):
    """Change one leaf of a value so that it differs by more than the tolerance."""

    def change(x):
        if isinstance(x, list | tuple) and x:
            i = rng.randrange(len(x))
            return type(x)([*x[:i], change(x[i]), *x[i + 1 :]])
        if isinstance(x, dict) and x:
            key = rng.choice(list(x))
            return {**x, key: change(x[key])}
        return f"changed from {x!r}"

    assert not equal(value, change(value)) and not equal(change(value), value)


@settings(max_examples=200)
@given(values, wire)
def test_forged_data_is_refused_or_compared_never_a_crash(expected, data):
    text = json.dumps(data)
    try:
        actual = decode(json.loads(text))
        outcome = compare(expected, json.loads(text))
    except REFUSALS:
        return
    assert outcome == same(expected, actual)


@settings(max_examples=150)
@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda data: data.decode("utf-8", "replace")))
def test_text_that_is_no_message_is_refused(text):
    secret = random.getrandbits(80)
    tests = [Call((1,), secret), Check(f"assert f(1) == {secret}"), Check(f"assert f(1) in [{secret}]")]
    for test in prepare(Program("", tests, "f")):
        assert judge_reply(test, "returned", text.encode("utf-8", "replace"))[0] == "wrong_answer"


@given(
    st.lists(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("ab.e+-_", min_size=1)),
    st.data(),
)
def test_output_is_the_same_whatever_the_spaces_and_differs_where_a_token_does(tokens, data):
    words = [word for token in tokens for word in str(token).split()]
    spaces = st.sampled_from([" ", "\n", "\t", "  \r\n"])
    spaced = "".join(word + data.draw(spaces) for word in words)
    assert same_output(" ".join(words), spaced) and same_output(spaced, " ".join(words))
    assert not same_output(spaced, spaced + " x") and not same_output(spaced + " x", spaced)
    if words:
        i = data.draw(st.integers(0, len(words) - 1))
        assert not same_output(spaced, " ".join([*words[:i], words[i] + "x", *words[i + 1 :]]))


TWINS = 2**61 - 1  # its multiples have the same hash, as have -1 and -2, and tuples of these
PAIRS = [{"tuple": list(row)} for row in itertools.islice(itertools.product([-1, -2], repeat=14), 10_000)]
WORDS = [f"w{i}" for i in range(18)]
BIG = 8 << 20  # bytes: no frame is larger
HOSTILE = {
    "deep": "[" * 100_000,
    "deep list": "[" * 100_000 + "]" * 100_000,
    "deep tuple": '{"tuple":' * 50_000 + "1" + "}" * 50_000,
    "digits": "9" * 1_000_000,
    "hex digits": '{"int":"0x' + "9" * BIG + '"}',
    "set": json.dumps({"set": [{"int": hex(i * TWINS)} for i in range(50_000)]}),
    "list": json.dumps([[{"int": hex(i * TWINS)} for i in range(50_000)]]),
    "small set": json.dumps([{"set": [{"int": hex(i * TWINS)} for i in range(3_900)]}]),
    "set of 12000": json.dumps([{"set": [{"int": hex(i * TWINS)} for i in range(12_000)]}]),
    "keys": json.dumps({"dict": [[{"tuple": [{"int": hex(i * TWINS)}]}, 0] for i in range(50_000)]}),
    "small keys": json.dumps([{"dict": [[{"int": hex(i * TWINS)}, 0] for i in range(3_900)]}]),
    "tuples": json.dumps([{"set": PAIRS}]),
    "few tuples": json.dumps([{"set": PAIRS[:250]}]),
    "sets of tuples": json.dumps([{"set": [{"frozenset": PAIRS[i : i + 10]} for i in range(0, 1000, 10)]}]),
    "a set of tuples": json.dumps({"set": PAIRS}),
    "tuples of texts": json.dumps([{"set": [{"tuple": [*WORDS, {"int": hex(i * TWINS)}]} for i in range(1990)]}]),
    "nested keys": '{"dict":[[' + '{"tuple":[' * 300 + '"' + "\x7f" * (BIG - 10_000) + '"' + "]}" * 300 + ",1]]}",
    "wide": '"' + "a" * (BIG - 10) + '\U0001f600"',
    "lists": "[" + "[]," * (BIG // 3) + "0]",
    "tagged": "[" + '{"tuple":[]},' * (BIG // 13) + "0]",
    "numbers": "[" + "1.5," * (BIG // 4) + "0]",
    "exponent": "1e999999999",
    "surrogates": '"' + "\\ud800" * 100_000 + '"',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_messages_take_no_long_work_and_no_memory(name):
    """Whatever the judge: half a second, and 50 MB more than the message."""
    text = HOSTILE[name].encode()
    tests = [Call((1,), [0] * 100), Call((1,), {5}), Call((1,), {5: 5}), Call((1,), FromJson(([[1]], {"5": 5})))]
    tests += [Call((1,), {f"word{i}": i for i in range(20_000)}), Call((1,), list(range(50_000)))]
    checks = "f(1) == 5", "set(f(1)) == {5}", "sorted(f(1)) == [5]", "len(set(f(1))) == 99", "5 in f(1)", "f(1) == {5}"
    checks += "set(f(1) + f(2)) == {5}", "f(1) < {5, 6}", "f(1) in ({5}, {6: 1})", "{f(1), 1} == {5}", "f(1) == {5: 1}"
    checks += "f(1) == [5] * 30000", "f(1) and f(2)[0] == 5", "abs(f(1) - 5) < 1", "round(f(1), 2) == 5.25"
    tests += [Check(f"assert {check}") for check in checks] + [Check(f"assert f(1) == {[1] * 20_000}")]
    for test in prepare(Program("", tests, "f")):
        for watch in ("seconds", "memory"):  # tracing memory takes time
            if watch == "memory":
                tracemalloc.start()
            start = time.process_time()
            verdict = judge_reply(test, "returned", text)
            if watch == "seconds":
                assert time.process_time() - start < 0.5, test
            else:
                assert tracemalloc.get_traced_memory()[1] < 50e6, test
                tracemalloc.stop()
        assert test.note or verdict is None or verdict[0] == "wrong_answer", test


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_not_judged_in_the_trainer_costs_it_nothing_and_passes_nothing(pool, monkeypatch, name):
    text, ask = HOSTILE[name].encode(), Worker.ask

    def reply(worker, lines, patience):
        return ask(worker, lines, patience) if b'"judge"' in lines[2] else [("returned", text, 0.0)]

    monkeypatch.setattr(Worker, "ask", reply)
    for test in (
        Call((1,), [0] * 100),
        Call((1,), {5}),
        Check("assert len(set(f(1))) == 99 + 0"),
        Check("assert f(1) < {5}"),
    ):
        tracemalloc.start()
        start = time.process_time()
        result = pool.submit(Program("", [test], "f")).result(timeout=60)
        assert time.process_time() - start < 0.5 and tracemalloc.get_traced_memory()[1] < 50e6, test
        tracemalloc.stop()
        assert result.verdicts == ("wrong_answer",), (test, result)


def test_a_short_wrong_reply_costs_nothing_however_long_the_expected_value_is():
    (test,) = prepare(Program("", [Call((1,), list(range(500_000)))], "f"))
    start = time.process_time()
    for text in (b"0", b"[]", b"[0, 1]", b"x"):
        assert judge_reply(test, "returned", text)[0] == "wrong_answer"
    assert time.process_time() - start < 0.05


ONES = "1" * BIG
PRINTED = {"digits": ONES, "no number": ONES + "x", "point": f"1.{ONES}x", "exponent": f"1e{ONES}", "zeros": "0" * BIG}
PRINTED |= {"dots": "." * BIG, "tokens": "1 " * (BIG // 2), "spaces": " " * BIG, "signs": "+-" * (BIG // 2)}


@pytest.mark.parametrize("name", PRINTED)
def test_hostile_output_takes_no_long_work_and_no_memory(name):
    actual = PRINTED[name].encode()
    for expected in ("3", "0.5", "1e3", "1" * 5000, "1." + "1" * 5000, "1 1 1\n" * 9, ""):
        start = time.process_time()
        outcome = same_output(expected, actual)
        assert time.process_time() - start < 0.5, expected
        assert outcome == (name == "spaces" and not expected)


@settings(max_examples=30)
@given(
    st.binary(max_size=200),
    st.lists(st.sampled_from([b"R", b"L", b"E", b"M", b"T", b"S", b"!", b"?"]), max_size=6),
    wire,
)
def test_random_bytes_on_the_channel_pass_nothing(pool, noise, kinds, data):
    secret = random.getrandbits(80)
    text = json.dumps(data).encode()
    frames = b"".join(kind + len(text).to_bytes(4, "big") + text for kind in kinds)
    source = f"import os\nos.write(3, {frames!r})\nos.write(3, {noise!r})\ndef f(x): os.write(3, {noise + frames!r})\n"
    tests = [Call((1,), secret), Check(f"assert f(1) == {secret}")]
    result = pool.submit(Program(source, tests, "f")).result(timeout=60)
    assert not any(result.passed) and "sandbox_error" not in result.verdicts
    assert not any(pool.submit(Program(source, [StdIO("", str(secret))])).result(timeout=60).passed)


@pytest.fixture(scope="module")
def pool():
    with Sandbox(workers=1, cpu_seconds=0.5) as pool:
        yield pool
        assert pool.submit(Program("def f(x): return x", [Call((1,), 1)], "f")).result().all_passed
        assert pool.sandbox_errors == 0
