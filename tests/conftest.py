import fcntl
import os
import signal
import sys

import pytest
import torch

AS_STARTED = dict(os.environ)
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the tests need no network
os.environ.pop("TQDM_DISABLE", None)  # what the progress bar says is tested
os.environ.setdefault("OMP_NUM_THREADS", "1")  # models are tiny, and other processes are busy; for those that we start
torch.set_num_threads(1)

# A shell that starts the tests in the background has them ignore Ctrl-C, and what they start would ignore it, too.
signal.signal(signal.SIGINT, signal.default_int_handler)

HASTY = {"WARM_STEPS": 100, "WARM_BATCH": 24}  # a seventh of the warm start of the toy's base model


@pytest.fixture(scope="session", autouse=True)
def cache_of_our_own(tmp_path_factory):
    """Tests neither read nor write the user's cache. Processes that share the tests share one."""
    own = tmp_path_factory.getbasetemp()
    cache = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "cache"
    cache.mkdir(exist_ok=True)
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(cache))
    yield cache
    patch.undo()


@pytest.fixture(scope="session")
def toy(cache_of_our_own):
    """minirl with a toy base model after a hasty warm start, cached for the session: good enough to train on."""
    import minirl

    patch = pytest.MonkeyPatch()
    for name, value in HASTY.items():
        patch.setattr(minirl, name, value)
    with open(cache_of_our_own / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one process makes it, another one waits
        minirl.load_policy("toy")
    yield minirl
    patch.undo()


def in_a_fork(errors, *arguments):
    """Starts minirl with these arguments as a process of its own, forked since to import torch once more takes seconds.
    Returns its number. What it says goes to the file `errors`."""
    import minirl

    if pid := os.fork():
        return pid
    try:
        sys.stdout = sys.stderr = open(errors, "w", buffering=1)  # lines
        os._exit(minirl.main(list(map(str, arguments))))
    finally:  # whatever happens, the tests do not go on here
        os._exit(99)


def tiny_model(kind="llama", seed=0, **changes):
    """A randomly initialised model of the toy's vocabulary: rotary (llama) or absolute (gpt2) positions."""
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    common = {"vocab_size": 512, "bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0}
    if kind == "gpt2":  # dropout is on in its configuration
        return GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=96, **common | changes))
    common |= {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(**{"max_position_embeddings": 96} | common | changes))


@pytest.fixture(scope="session")
def tokenizer():
    import minirl

    return minirl.toy_tokenizer(minirl.toy_problems("train"))


@pytest.fixture(params=["llama", "gpt2"])
def policy(request, tokenizer):
    import minirl

    return minirl.make_policy(tiny_model(request.param), tokenizer)
