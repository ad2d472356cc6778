"""sandbox.py's layers: each one alone stops what it says, and where one is missing the sandbox runs and says so.

A machine that lacks a layer is simulated by a copy of sandbox.py in which the function that switches it on fails.
"""

import importlib.util
import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest
from attack_harness import Canaries, descendants, successes

import sandbox as sandbox_module

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layers are Linux's")
FUNCTIONS = {
    "limits": "limit_resources",
    "seccomp": "seccomp",
    "files": "landlock",
    "read_only": "read_only",
    "network": "own_namespaces",
    "processes": "own_namespaces",
    "own_user": "leave_root",
    "dies_with_parent": "die_with_parent",
}


def library_is_private():
    """Does Python's library lie in a folder that others cannot enter, such as root's home?"""
    return not all(folder.stat().st_mode & 1 for folder in Path(sandbox_module.LIBRARY, "os.py").parents)


@pytest.fixture
def module_without(tmp_path):
    """Makes a module like sandbox.py in which some layers cannot be switched on."""

    def make(layers, macos=False):
        source = Path(sandbox_module.__file__).read_text()
        for name in {FUNCTIONS[layer] for layer in layers}:
            source, count = re.subn(
                rf"(\ndef {name}\(.*\):\n)", r'\1    raise OSError("not on this machine")\n', source
            )
            assert count == 1
        if macos:
            source = source.replace('sys.platform == "linux"', "False").replace("os.uname().machine", '"arm64"')
        path = tmp_path / "sandbox_copy.py"
        path.write_text(source)
        tmp_path.chmod(0o755)
        spec = importlib.util.spec_from_file_location("sandbox_copy", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules["sandbox_copy"] = module
        spec.loader.exec_module(module)
        return module

    yield make
    sys.modules.pop("sandbox_copy", None)


def here(module=sandbox_module):
    with module.Sandbox(workers=1) as pool:
        return pool.layers


def check_honest_programs(module, pool):
    """Right verdicts, and one forgery."""
    cases = {
        "def f(x): return x + 1": "passed",
        "def f(x): return x": "wrong_answer",
        "def f(x):\n    while True: pass": "timeout",
        "import os\ndef f(x): os.write(3, b'R\\0\\0\\0\\1' + b'2'); os._exit(0)": "passed",  # it may state the answer
        "import os\ndef f(x): os._exit(0)": "runtime_error",
        "def f(x): return (": "syntax_error",
        "def f(x): open('file', 'w').write('x'); return len(open('file').read()) + 1": "passed",
        "import os\ndef f(x): return len(os.listdir('.')) + 2": "passed",  # nothing is left of the one before
    }
    for source, verdict in cases.items():
        result = pool.submit(module.Program(source, [module.Call((1,), 2)] * 2, "f")).result(timeout=60)
        assert str(result.verdicts[0]) == verdict, (source, result)
    assert pool.submit(module.Program("print(input())", [module.StdIO("1\n", "1\n")])).result().all_passed


@pytest.mark.parametrize("missing", [*FUNCTIONS, "all", "all, as root in a container", "all, macOS"])
def test_without_a_layer_programs_run_and_layers_says_so(module_without, missing):
    layers = list(FUNCTIONS) if missing.startswith("all") else [missing]
    if "container" in missing:
        layers = ["read_only", "network", "processes", "files"]
    module = module_without(layers, macos="macOS" in missing)
    before = here()
    with module.Sandbox(workers=1, cpu_seconds=0.3, max_timeouts=1) as pool:
        off = {name for name in before if before[name] and not pool.layers[name]}
        function = {FUNCTIONS[layer] for layer in layers}
        depend = {"read_only"} if "own_namespaces" in function else set()  # mounts need a namespace
        if "landlock" in function and library_is_private():
            depend.add("own_user")  # such a user would need the right to read all files
        assert off == {name for name in before if before[name] and FUNCTIONS[name] in function} | (
            depend & {name for name in before if before[name]}
        )
        check_honest_programs(module, pool)
    with pytest.raises(module.SandboxError, match=f"does not offer the layers? {layers[0]}"):
        module.Sandbox(workers=1, require=layers[:1])
    assert list(Path(pool._folder.parent).glob(pool._folder.name)) == []


# For each layer, what is possible without it, and raises OSError with it.
STOPPED_BY = {
    "limits": "[os.dup(0) for _ in range(99)]",
    "seccomp": "os.sched_setaffinity(0, {0})",
    "files": "open('/etc/passwd')",
    "read_only": "open(CANARY_FILE, 'a')",
    "network": "socket.create_connection(('127.0.0.1', TCP_PORT), 1)",
    "processes": "os.kill(CANARY_PID, 0)",
    "own_user": "os.kill(CANARY_PID, 0)",
}


@pytest.mark.parametrize("layer", STOPPED_BY)
def test_a_layer_alone_stops_what_it_says(module_without, layer):
    if not here()[layer]:
        pytest.skip(f"no {layer} on this machine")
    needs = {"read_only": "own_namespaces", "own_user": "landlock" if library_is_private() else ""}
    function = {FUNCTIONS[layer], needs.get(layer)}
    canaries = Canaries()
    source = "".join(f"{name} = {value!r}\n" for name, value in canaries.names.items())
    source += f"import os, socket\ndef f(x):\n    try: {STOPPED_BY[layer]}\n    except OSError: return True\n"
    source += "    return False"
    try:
        for off, stopped in ([name for name in FUNCTIONS if FUNCTIONS[name] not in function], True), (FUNCTIONS, False):
            module = module_without(off)
            with module.Sandbox(workers=1) as pool:
                result = pool.submit(module.Program(source, [module.Call((1,), stopped)], "f")).result()
                assert result.all_passed, (layer, stopped, pool.layers, result)
    finally:
        canaries.close()


def test_no_capabilities_are_left(module_without):
    """The owner of a user namespace, or root, would have all. Where Python's library lies in root's home, the right to
    read files is kept, which Landlock limits to the library."""
    module = module_without(["seccomp"])  # which does not even let it ask
    source = "import ctypes, struct\ndef f(x):\n    sets = ctypes.create_string_buffer(24)\n"
    source += "    ctypes.CDLL(None).capget(struct.pack('Ii', 0x20080522, 0), sets)\n"
    source += "    return [value & ~(4 * x) for value in struct.unpack('6I', sets.raw)]"
    with module.Sandbox(workers=1) as pool:
        kept = pool.layers["own_user"] and library_is_private()
        result = pool.submit(module.Program(source, [module.Call((int(kept),), [0] * 6)], "f")).result()
        assert result.all_passed, result


def test_a_runner_dies_with_its_zygote_even_without_a_process_namespace(module_without):
    module = module_without([name for name in FUNCTIONS if name != "dies_with_parent"])
    with module.Sandbox(workers=1) as pool:
        source = "import time\ndef f(x): time.sleep(60)"
        future = pool.submit(module.Program(source, [module.Call((1,), 1)], "f"))
        time.sleep(0.5)
        zygote, runner = descendants(pool._workers[0].process.pid)
        os.kill(zygote, signal.SIGKILL)
        deadline = time.monotonic() + 2
        while Canaries.state(runner) not in ("", "Z") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert Canaries.state(runner) in ("", "Z")  # gone, or a zombie that init has not collected yet
        pool.close()
        error = future.exception()  # the retry was cut off by close(), or ended at its own time limit before
        assert isinstance(error, module.SandboxError) or not future.result().all_passed


FORGERIES = ["equals_all", "forge_frames", "forge_passed", "patch_builtins", "patch_runner", "steal_frames"]


@pytest.mark.parametrize("name", FORGERIES)
def test_without_any_layer_there_is_still_nothing_to_forge(module_without, name):
    module = module_without(FUNCTIONS)
    canaries = Canaries()
    try:
        attack = (Path(__file__).parent / "attacks" / f"{name}.py").read_text()
        with module.Sandbox(workers=1, cpu_seconds=0.3, max_timeouts=1) as pool:
            harm = successes(pool, canaries, attack, module)
            assert not [line for line in harm if "passed" in line or "came out" in line], harm
    finally:
        canaries.close()


def test_a_deep_tree_of_folders_is_removed(module_without):
    module = module_without(["seccomp", "read_only", "network", "processes"])
    deep = "import os\ndef f(x):\n    for i in range(1500):\n        os.mkdir('d')\n        os.chdir('d')\n    return x"
    odd = "import os\ndef f(x):\n    os.makedirs('a/b/c'); open('a/b/c/file', 'w').write('x')\n    os.chmod('a/b', 0)\n"
    odd += "    os.chmod('.', 0)\n    return x"
    with module.Sandbox(workers=1, cpu_seconds=5) as pool:
        for source in (deep, odd):
            assert pool.submit(module.Program(source, [module.Call((1,), 1)], "f")).result().all_passed
            source = "import os\ndef f(x): return os.listdir('.')"
            assert pool.submit(module.Program(source, [module.Call((1,), [])], "f")).result().all_passed
    assert not pool._folder.exists()
