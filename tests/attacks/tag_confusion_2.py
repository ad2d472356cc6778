# Odd tagged values: nested tags, wrong bodies, two keys, duplicate keys, strings as containers.
import os, struct, json, sys


def frame(k, t):
    b = t.encode("utf-8", "surrogatepass") if isinstance(t, str) else t
    d = struct.pack(">cI", k, len(b)) + b
    while d:
        d = d[os.write(3, d) :]


B = [
    '{"tuple":{"dict":[]}}',
    '{"dict":"ab"}',
    '{"dict":["ab","cd"]}',
    '{"int":"_"}',
    '{"int":5}',
    '{"float":[]}',
    '{"float":"nan"}',
    '{"complex":"12"}',
    '{"complex":{}}',
    '{"complex":[]}',
    '{"bytes":5}',
    '{"opaque":[[]]}',
    '{"a":1,"b":2}',
    '{"set":[[]]}',
    '{"set":[{"opaque":"x"}]}',
    '{"tuple":"abc"}',
    "{}",
    "",
    "nul",
    "NaN",
    "1e999",
    '{"tuple":null}',
    '{"dict":[[1]]}',
    '{"dict":[[[],1]]}',
    '"\\ud800"',
    '{"int":"0x"}',
    '{"float":"\\ud800"}',
]
frame(b"L", "")
for b in B:
    frame(b"R", b)
while 1:
    pass
# TESTS: [Call((i,), e) for i, e in enumerate([SECRET, [SECRET], {1: 2}, (3,), {4}, 'x', None, True, 2.5] * 3)]
