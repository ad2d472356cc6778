"""Models as they come: architectures, chat templates, end tokens, hubs that do not answer."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import tiny_model
from test_policy import slow_scores
from transformers import AutoConfig, AutoModelForCausalLM

import minirl
from minirl import Call, Problem, StdIO, UsageError, load_policy, make_policy, sample, token_logprobs

CODE = Problem("c", 'def f(xs):\n    """Return xs."""\n', [Call((1,), 1)], "f")
WORDS = Problem("w", "Write a function f.", [Call((1,), 1)], "f")
SCRIPT = Problem("s", "Print 1.", [StdIO("", "1")])

SMALL = {
    "vocab_size": 512,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 96,
    "bos_token_id": None,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
ARCHITECTURES = {
    "mistral": {"sliding_window": 8},
    "qwen2": {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1, "tie_word_embeddings": True},
    "qwen3": {"head_dim": 8},
    "gemma2": {"sliding_window": 64, "head_dim": 8, "query_pre_attn_scalar": 8},  # eager attention, capped logits
    "gemma3_text": {"sliding_window": 8, "head_dim": 8},
    "starcoder2": {"sliding_window": 8},
    "phi3": {},
    "gpt_neox": {},
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32},
    "bloom": {"n_head": 4, "n_layer": 2},  # no position ids
}


def tiny(kind, **changes):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **SMALL | changes), dtype=torch.float32)
    for parameter in model.parameters():
        parameter.data *= 3 if parameter.dim() > 1 else 1  # or attention is too even to tell positions apart
    return model


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_sampling_and_scoring_agree_with_a_loop_over_tokens(kind, tokenizer):
    policy = make_policy(tiny(kind, **ARCHITECTURES[kind]), tokenizer)
    policy.eos_ids = tuple(range(1, 40))
    prompts = ["def f(xs):\n", "def f(s):\n    return", "x"]
    problems = [Problem(f"p{i}", prompt, [Call((1,), 1)], "f") for i, prompt in enumerate(prompts)]
    rollout = sample(policy, problems, 2, max_new_tokens=12, seed=3)
    for p, problem in enumerate(problems):
        for g in range(2):
            mask = rollout.completion_mask[p, g]
            logprobs, _ = slow_scores(policy, policy.prompt_ids(problem), rollout.completion_ids[p, g][mask].tolist())
            assert rollout.logprobs[p, g][mask].tolist() == pytest.approx(logprobs, abs=1e-4)
    prompt_of = torch.arange(3).repeat_interleave(2)
    ids, mask = rollout.completion_ids.flatten(0, 1), rollout.completion_mask.flatten(0, 1)
    logprobs = token_logprobs(policy, rollout.prompt_ids, rollout.prompt_mask, ids, mask, prompt_of=prompt_of)
    assert torch.allclose(logprobs[mask], rollout.logprobs.flatten(0, 1)[mask], atol=1e-4)


def test_a_model_that_does_not_read_padded_rows_is_refused(tokenizer, monkeypatch):
    with pytest.raises(UsageError, match="MambaForCausalLM cannot be used"):
        make_policy(tiny("mamba"), tokenizer)
    model = tiny_model("gpt2")
    forward = model.transformer.forward
    model.transformer.forward = lambda *args, position_ids=None, **kwargs: forward(*args, **kwargs)
    with pytest.raises(UsageError, match="GPT2LMHeadModel cannot be used"):
        make_policy(model, tokenizer)


# Prompts


TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<eos>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture
def chat(tokenizer):
    policy = make_policy(tiny_model(max_position_embeddings=512), tokenizer)
    tokenizer.chat_template = TEMPLATE
    policy.prompt_style = "chat"
    yield policy
    tokenizer.chat_template = None


def read(policy, problem):
    return policy.tokenizer.decode(policy.prompt_ids(problem))


def test_a_chat_model_is_asked_in_its_template(chat):
    for problem, words in (
        (CODE, ["Complete this Python function", f"```python\n{CODE.prompt}```"]),
        (WORDS, ["Write a function f.", "`f`", "```python block"]),
        (SCRIPT, ["Print 1.", "standard input", "```python block"]),
    ):
        text = read(chat, problem)
        assert text.startswith("<|user|>") and text.endswith("<eos><|assistant|>") and text.count("<|user|>") == 1
        assert all(word in text for word in words), text


def test_a_base_model_gets_code_to_go_on_with(chat):
    chat.prompt_style = "completion"
    assert read(chat, CODE) == CODE.prompt
    assert read(chat, WORDS) == '"""\nWrite a function f.\n"""\n'
    chat.prompt_style = "verbatim"
    assert read(chat, WORDS) == WORDS.prompt


def test_the_style_follows_from_the_tokenizer_unless_it_is_said(chat, tmp_path):
    chat.model.save_pretrained(tmp_path)
    chat.tokenizer.save_pretrained(tmp_path)
    assert load_policy(str(tmp_path)).prompt_style == "chat"
    assert load_policy(str(tmp_path), prompt_style="completion").prompt_style == "completion"
    (tmp_path / "chat_template.jinja").unlink()
    assert load_policy(str(tmp_path)).prompt_style == "completion"
    with pytest.raises(UsageError, match="no chat template; choose --prompt-style completion"):
        load_policy(str(tmp_path), prompt_style="chat")


def test_a_tokenizer_that_ends_every_text_does_not_end_the_prompt(tokenizer):
    from tokenizers.processors import TemplateProcessing

    policy = make_policy(tiny_model(), tokenizer)
    plain = policy.prompt_ids(CODE)
    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single="<pad> $0 <eos>", pair="$A $B", special_tokens=[("<pad>", 0), ("<eos>", 1)]
    )
    try:
        assert policy.prompt_ids(CODE) == [0, *plain]  # what begins every text stays
    finally:
        tokenizer._tokenizer.post_processor = None


# Where samples end


@pytest.mark.parametrize("style", ["chat", "completion", "verbatim"])
def test_a_sample_ends_with_its_answer(chat, monkeypatch, style):
    """In a chat at the end of the fence, else after the line that is no part of the function."""
    chat.prompt_style = style
    answer = {"chat": "So:\n```python\ndef f(xs):\n    return xs\n```", "completion": "    return xs\n\nprint(f(1))\n"}
    text = answer.get(style, answer["completion"]) + ' and then """ some more'
    ids = chat.encode(text) + [300] * 200
    place = iter(range(200))
    monkeypatch.setattr(minirl, "draw", lambda probabilities, uniform: torch.full((len(uniform),), ids[next(place)]))
    rollout = sample(chat, [CODE], 2, max_new_tokens=60)
    lengths = rollout.completion_mask.sum(-1)[0].tolist()
    if style == "verbatim":
        assert lengths == [60, 60]
        return
    assert len(set(lengths)) == 1 and lengths[0] < 60
    written = rollout.completions[0][0]
    assert text.startswith(written) and len(written) - len(answer[style]) in range(4)  # to the end of a token
    assert minirl.has_answer(CODE, written, style == "chat")
    assert not minirl.has_answer(CODE, chat.tokenizer.decode(ids[: lengths[0] - 1]), style == "chat")
    hidden = ~rollout.completion_mask
    assert rollout.logprobs[hidden].eq(0).all() and rollout.completion_ids[hidden].eq(chat.pad_id).all()


def test_the_end_tokens_of_all_configurations_count(tokenizer):
    model = tiny_model(eos_token_id=[5, 6])
    model.generation_config.eos_token_id = 7
    assert make_policy(model, tokenizer).eos_ids == (1, 5, 6, 7)


def test_a_space_at_the_start_of_a_completion_is_kept(monkeypatch):
    """Tokenizers in the manner of SentencePiece drop it when they decode the completion alone."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<unk>", "<eos>", "▁def", "▁f(x):", "▁return", "▁x", "<0x0A>", *(f"▁w{i}" for i in range(505))]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>")
    policy = make_policy(tiny_model(), fast)
    assert policy.tokenizer.decode([4, 5]) == "return x"
    monkeypatch.setattr(minirl, "draw", lambda probabilities, uniform: torch.full((len(uniform),), 4))
    rollout = sample(policy, [Problem("p", "def f(x):", [Call((1,), 1)], "f")], 1, max_new_tokens=2)
    assert rollout.completions == [[" return return"]]


# Loading


def test_a_hub_and_what_it_may_answer(tmp_path):
    """Downloads from a hub of our own: models that are not there, or gated; no network; downloaded before."""
    script = Path(__file__).parent / "hub.py"
    names = ["no/such", "gated/model", "not a name!!", "tiny/model", "--off", "tiny/model", "other/model"]
    environment = os.environ | {"HF_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(script.parents[1])}
    done = subprocess.run(
        [sys.executable, script, tmp_path / "model", *names], env=environment, capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 6
    for line, words in zip(
        lines,
        [
            "cannot load the model 'no/such': there is no such folder, and on the hub: no/such is not a ",
            "cannot load the model 'gated/model': there is no such folder, and on the hub: You are trying to access",
            "cannot load the model 'not a name!!': there is no such folder",
            "tiny/model: completion",
            "tiny/model: completion",
            "cannot load the model 'other/model': there is no such folder, and on the hub: We couldn't connect to ",
        ],
        strict=True,
    ):
        assert line.startswith(words), line


def test_a_thought_that_the_prompt_has_opened_ends_no_sample_and_holds_no_answer(tokenizer, monkeypatch):
    """The model says what a script says: a draft in a fence, the end of the thought, the answer."""
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = "{{ messages[0]['content'] }}<think>\n"
    policy = make_policy(tiny_model(max_position_embeddings=1024), tokenizer)
    policy.prompt_style = "chat"
    script = "```python\ndef f(x):\n    return 0\n```\n</think>\n```python\ndef f(x):\n    return x\n```\nprose"
    ids = iter(tokenizer(script, add_special_tokens=False)["input_ids"])
    monkeypatch.setattr(minirl, "draw", lambda _, uniform: torch.full((len(uniform),), next(ids)))
    (text,) = sample(policy, [WORDS], 1, max_new_tokens=300, seed=0).completions[0]
    assert text.startswith("<think>") and text.endswith("return x\n```"), text
    assert "return x" in WORDS.program(text).source and "return 0" not in WORDS.program(text).source
    assert WORDS.program(text.partition("</think>")[0]).source == ""
