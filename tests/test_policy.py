"""Sampling and scoring: padding, positions, end tokens, temperature; against slow loops written here."""

import copy
import math

import pytest
import torch
from conftest import tiny_model
from cuda_graphs import GraphDecoder

import minirl
from minirl import (
    Call,
    Config,
    Problem,
    UsageError,
    draw,
    load_policy,
    make_policy,
    sample,
    token_logprobs,
    update,
)

PROMPTS = ["def f(xs):\n", "def f(s):\n    return", "x"]


def problems_of(prompts):
    return [Problem(f"p{i}", prompt, [Call((1,), 1)], "f") for i, prompt in enumerate(prompts)]


@torch.no_grad()
def slow_scores(policy, prompt, completion, temperature=1.0):
    """Log-probabilities and entropies, token by token, without cache, mask, padding or position ids."""
    ids, logprobs, entropies = list(prompt), [], []
    for token in completion:
        distribution = torch.log_softmax(policy.model(torch.tensor([ids])).logits[0, -1] / temperature, -1)
        logprobs.append(distribution[token].item())
        entropies.append(-(distribution.exp() * distribution).sum().item())
        ids.append(token)
    return logprobs, entropies


def slow_logprobs(policy, prompt, completion):
    return slow_scores(policy, prompt, completion)[0]


def batch_of(policy, texts=("    return x\n", " 0", "")):
    prompts = [policy.encode(prompt) for prompt in PROMPTS]
    completions = [[*policy.encode(text), policy.eos_ids[0]] for text in texts]
    return prompts, completions


def scored(policy, prompts, completions, shared):
    """token_logprobs of rows with a prompt each; `shared` takes the way of prompts that a group shares."""
    prompt_of = torch.arange(len(prompts)) if shared else None
    inputs = (*policy.pad(prompts, "left"), *policy.pad(completions, "right"))
    return token_logprobs(policy, *inputs, prompt_of=prompt_of)


@pytest.mark.parametrize("shared", [False, True])
def test_logprobs_equal_a_loop_over_tokens(policy, shared):
    prompts, completions = batch_of(policy)
    logprobs = scored(policy, prompts, completions, shared)
    for row, prompt, completion in zip(logprobs, prompts, completions, strict=True):
        assert row[: len(completion)].tolist() == pytest.approx(slow_logprobs(policy, prompt, completion), abs=1e-5)


@pytest.mark.parametrize("shared", [False, True])
def test_padding_does_not_change_logprobs_or_gradients(policy, shared):
    prompts, completions = batch_of(policy)
    together = scored(policy, prompts, completions, shared)
    row = together[1, : len(completions[1])]
    row.sum().backward()
    gradients = [p.grad.clone() for p in policy.model.parameters()]
    policy.model.zero_grad()
    alone = scored(policy, prompts[1:2], completions[1:2], shared)[0]
    alone.sum().backward()
    assert torch.allclose(row, alone, atol=1e-5)
    for padded, parameter in zip(gradients, policy.model.parameters(), strict=True):
        assert torch.isfinite(padded).all() and torch.allclose(padded, parameter.grad, atol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.7, 1.5])
def test_logprobs_of_the_sampler_are_those_of_scoring(policy, temperature):
    policy.eos_ids = tuple(range(1, 61))  # completions of all lengths: rows that end make room for the others
    rollout = sample(policy, problems_of(PROMPTS), 4, max_new_tokens=12, temperature=temperature, seed=3)
    assert rollout.temperature == temperature and len(set(rollout.completion_mask.sum(-1).flatten().tolist())) > 4
    for p, prompt in enumerate(PROMPTS):
        for g in range(4):
            mask = rollout.completion_mask[p, g]
            ids = rollout.completion_ids[p, g][mask].tolist()
            logprobs, entropies = slow_scores(policy, policy.encode(prompt), ids, temperature)
            assert rollout.logprobs[p, g][mask].tolist() == pytest.approx(logprobs, abs=1e-4)
            assert rollout.entropy[p, g][mask].tolist() == pytest.approx(entropies, abs=1e-4)
    n = len(PROMPTS) * 4
    prompts = [tensor.repeat_interleave(4, 0) for tensor in (rollout.prompt_ids, rollout.prompt_mask)]
    scored = token_logprobs(
        policy, *prompts, rollout.completion_ids.view(n, -1), rollout.completion_mask.view(n, -1), temperature
    )
    mask = rollout.completion_mask.view(n, -1)
    assert torch.allclose(scored[mask], rollout.logprobs.view(n, -1)[mask], atol=1e-4)


def test_samples_follow_the_whole_distribution_whatever_the_generation_config_says(tokenizer):
    """Chi-squared of the first token over many samples; a top-k of 50 would leave 462 tokens out."""
    model = tiny_model()
    model.generation_config.top_k, model.generation_config.top_p, model.generation_config.temperature = 2, 0.1, 0.01
    policy = make_policy(model, tokenizer)
    n = 20_000
    model.lm_head.weight.data *= 5  # temperature matters
    rollout = sample(policy, problems_of(["def f(xs):\n"]), n, max_new_tokens=1, temperature=1.5, seed=1)
    with torch.no_grad():
        expected = model(rollout.prompt_ids).logits[0, -1].div(1.5).softmax(-1) * n
    counts = rollout.completion_ids.flatten().bincount(minlength=512)
    statistic = ((counts - expected) ** 2 / expected).sum().item()
    assert statistic < 511 + 5 * (2 * 511) ** 0.5  # mean + 5 standard deviations of chi-squared, 511 degrees of freedom


def test_rows_and_seeds_differ_and_repeat(policy):
    problems = problems_of(["def f(xs):\n"] * 2)
    first, again = (sample(policy, problems, 8, max_new_tokens=8, seed=5) for _ in range(2))
    other = sample(policy, problems, 8, max_new_tokens=8, seed=6)
    assert first.completions == again.completions and torch.equal(first.logprobs, again.logprobs)
    assert first.completions != other.completions
    rows = [text for group in first.completions for text in group]
    assert len(set(rows)) > 8  # rows of a group, and equal prompts in a batch, do not repeat each other


def biased(tokenizer, tokens, **changes):
    """A policy that writes the given tokens only, all equally likely."""
    model = tiny_model(**changes)
    model.lm_head.weight.data.zero_()
    model.lm_head.bias = torch.nn.Parameter(torch.full((512,), -1e4))
    model.lm_head.bias.data[list(tokens)] = 0.0
    return make_policy(model, tokenizer)


def test_the_end_token_is_in_the_mask_and_nothing_after_it(tokenizer):
    policy = biased(tokenizer, [1, 300])
    rollout = sample(policy, problems_of(["x"]), 64, max_new_tokens=6, seed=0)
    ids, mask = rollout.completion_ids[0], rollout.completion_mask[0]
    assert set(mask.sum(-1).tolist()) == {1, 2, 3, 4, 5, 6}  # every position draws anew
    for row, row_mask in zip(ids.tolist(), mask.tolist(), strict=True):
        length = row.index(1) + 1 if 1 in row else 6
        assert row_mask == [True] * length + [False] * (6 - length)
        assert set(row[length:]) <= {policy.pad_id}
    assert torch.count_nonzero(rollout.logprobs[0][~mask]) == 0
    assert all("<eos>" not in text for text in rollout.completions[0])


def test_a_pad_token_that_is_the_end_token_does_not_hide_the_sampled_end(tokenizer):
    policy = biased(tokenizer, [1, 300])
    policy.pad_id = 1
    rollout = sample(policy, problems_of(["x", "def f(xs):\n"]), 32, max_new_tokens=6, seed=0)
    ends = (rollout.completion_ids == 1) & rollout.completion_mask
    assert (ends.sum(-1) <= 1).all() and (ends.sum(-1) == 1).any()
    # ... and the sampled end gets a gradient, padding none
    n = 64
    logprobs = token_logprobs(
        policy,
        rollout.prompt_ids.repeat_interleave(32, 0),
        rollout.prompt_mask.repeat_interleave(32, 0),
        rollout.completion_ids.view(n, -1),
        rollout.completion_mask.view(n, -1),
    )
    (logprobs * ends.view(n, -1)).sum().backward()
    assert policy.model.lm_head.bias.grad[1] > 0


def test_every_end_token_ends_a_completion(tokenizer):
    model = biased(tokenizer, [1, 7, 300]).model
    model.generation_config.eos_token_id = [7]  # beside the tokenizer's own
    policy = make_policy(model, tokenizer)
    assert policy.eos_ids == (1, 7)
    rollout = sample(policy, problems_of(["x"]), 64, max_new_tokens=10, seed=0)
    rows = zip(rollout.completion_ids[0], rollout.completion_mask[0], rollout.completions[0], strict=True)
    for ids, mask, text in rows:
        kept = ids[mask].tolist()
        assert not {1, 7} & set(kept[:-1]) and (len(kept) == 10 or kept[-1] in (1, 7))
        assert text == tokenizer.decode([300] * kept.count(300))
    assert {1, 7} <= set(rollout.completion_ids.flatten().tolist())


def test_a_tokenizer_without_pad_token_pads_with_an_end_token_and_without_both_is_refused(tokenizer):
    bare = copy.deepcopy(tokenizer)
    bare.pad_token = None
    assert make_policy(tiny_model(), bare).pad_id == 1
    bare.eos_token = None
    with pytest.raises(UsageError, match="no end-of-sequence token"):
        make_policy(tiny_model(eos_token_id=None), bare)


def test_a_pad_token_in_the_text_itself_is_read_like_any_other(policy):
    """Many models open every prompt with the token that they also pad with."""
    prompts, completions = batch_of(policy)
    policy.pad_id = prompts[0][0]
    completions[1].insert(0, policy.pad_id)
    logprobs = token_logprobs(policy, *policy.pad(prompts, "left"), *policy.pad(completions, "right"))
    for row, prompt, completion in zip(logprobs, prompts, completions, strict=True):
        assert row[: len(completion)].tolist() == pytest.approx(slow_logprobs(policy, prompt, completion), abs=1e-5)


def test_the_draw_inverts_the_cumulative_distribution_and_takes_nothing_impossible():
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.tensor([0.0, 0.25, 0.0, 0.5, 0.125, 0.0]).expand(103, -1) * 0.99  # a sum of less than 1
    uniform = torch.cat([torch.tensor([0.0, 1 - 2**-24, 1.0]), torch.rand(100, generator=generator)])
    for row, u, token in zip(probabilities.tolist(), uniform.tolist(), draw(probabilities, uniform), strict=True):
        above = [i for i in range(6) if sum(row[: i + 1]) > u * sum(row)]
        assert token.item() == (above[0] if u < 1 else 4)


def test_probabilities_are_computed_in_float32_from_the_logits_of_a_bfloat16_model(tokenizer):
    """In bfloat16 the logarithm of 1 / 512 is off by 0.01, and so would be the ratio of every token."""
    policy = biased(tokenizer, range(512))
    policy.model.bfloat16()
    rollout = sample(policy, problems_of(["x"]), 2, max_new_tokens=4)
    tensors = rollout.prompt_ids, rollout.prompt_mask, rollout.completion_ids[0, :1], rollout.completion_mask[0, :1]
    for logprobs in (rollout.logprobs[rollout.completion_mask], token_logprobs(policy, *tensors)[tensors[3]]):
        assert torch.allclose(logprobs, torch.tensor(-math.log(512)), atol=1e-5)


def test_greedy_decoding_takes_the_likeliest_token(policy):
    rollout = sample(policy, problems_of(PROMPTS), 2, max_new_tokens=5, temperature=0)
    for p, prompt in enumerate(PROMPTS):
        ids = policy.encode(prompt)
        for token in rollout.completion_ids[p, 0][rollout.completion_mask[p, 0]].tolist():
            with torch.no_grad():
                assert policy.model(torch.tensor([ids])).logits[0, -1].argmax() == token
            ids.append(token)


def test_a_prompt_longer_than_the_context_is_refused_in_words(policy):
    with pytest.raises(UsageError, match=r"prompt of p0 has \d+ tokens.*context of 96"):
        sample(policy, problems_of(["x y " * 100]), 2)
    with pytest.raises(UsageError, match="0 tokens"):
        sample(policy, problems_of([""]), 2)
    room = 96 - len(policy.encode(PROMPTS[0]))  # a completion may fill the context to its last token
    sample(policy, problems_of(PROMPTS[:1]), 2, max_new_tokens=room)
    with pytest.raises(UsageError, match="context of 96"):
        sample(policy, problems_of(PROMPTS[:1]), 2, max_new_tokens=room + 1)


def test_dropout_is_off(tokenizer):
    policy = make_policy(tiny_model("gpt2", attn_pdrop=0.5, resid_pdrop=0.5, embd_pdrop=0.5).train(), tokenizer)
    prompts, completions = batch_of(policy)
    inputs = (*policy.pad(prompts, "left"), *policy.pad(completions, "right"))
    assert torch.equal(token_logprobs(policy, *inputs), token_logprobs(policy, *inputs))


def test_a_saved_model_loads_from_its_folder(policy, tmp_path):
    policy.model.save_pretrained(tmp_path)
    policy.tokenizer.save_pretrained(tmp_path)
    loaded = load_policy(str(tmp_path), prompt_style="verbatim")
    assert sample(loaded, problems_of(PROMPTS), 2).completions == sample(policy, problems_of(PROMPTS), 2).completions


def test_a_missing_model_or_device_is_a_sentence(tmp_path):
    for name in ("/no/such/model", "no-such/model"):
        with pytest.raises(UsageError, match=f"cannot load the model '{name}': there is no such folder"):
            load_policy(name)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="cannot load the model"):
        load_policy(str(tmp_path))
    with pytest.raises(UsageError, match="cannot use the device 'nonsense'"):
        load_policy("toy", device="nonsense")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="cannot use the device 'cuda'"):
            load_policy("toy", device="cuda")


# Ways of the decoder and of the update that must not change a result


def test_a_head_that_caps_its_logits_counts(tokenizer):
    from transformers import Gemma2Config, Gemma2ForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"head_dim": 16, "num_key_value_heads": 1, "sliding_window": 8}
    config = Gemma2Config(vocab_size=512, final_logit_softcapping=1.0, **sizes)
    check_logprobs_of_the_sampler(make_policy(Gemma2ForCausalLM(config), tokenizer))


def check_logprobs_of_the_sampler(policy):
    rollout = sample(policy, problems_of(PROMPTS), 4, max_new_tokens=12, seed=3)
    n = len(PROMPTS) * 4
    prompt_of = torch.arange(len(PROMPTS)).repeat_interleave(4)
    ids, masks = rollout.completion_ids.view(n, -1), rollout.completion_mask.view(n, -1)
    scored = token_logprobs(policy, rollout.prompt_ids, rollout.prompt_mask, ids, masks, 1.0, prompt_of)
    for row in range(n):
        mask, prompt = masks[row], policy.encode(PROMPTS[row // 4])
        expected = slow_logprobs(policy, prompt, ids[row][mask].tolist())
        assert rollout.logprobs.view(n, -1)[row][mask].tolist() == pytest.approx(expected, abs=1e-4)
        assert scored[row][mask].tolist() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kind", ["grouped queries", "sliding window"])
def test_logprobs_of_other_attentions(tokenizer, kind):
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    window = 6 if kind == "sliding window" else None
    config = MistralConfig(vocab_size=512, num_key_value_heads=2, sliding_window=window, eos_token_id=1, **sizes)
    policy = make_policy(MistralForCausalLM(config), tokenizer)
    check_logprobs_of_the_sampler(policy)


def test_samples_that_wrote_the_same_share_a_row_and_no_sample_changes(policy, monkeypatch):
    """A batch begins with a row a prompt, and shrinks as samples end; rows of their own give the same samples."""
    policy.eos_ids, rows = tuple(range(1, 512, 12)), []
    run = minirl.Decoder.run
    monkeypatch.setattr(minirl.Decoder, "run", lambda self, *given: rows.append(len(given[0])) or run(self, *given))
    settings = {"max_new_tokens": 30, "seed": 2, "temperature": 0.02}
    shared = sample(policy, problems_of(PROMPTS), 9, **settings)
    assert rows[0] == len(PROMPTS)
    unique = torch.unique

    def unshared(pairs, **settings):  # every sample is another pair of row and token
        return (pairs, torch.arange(len(pairs))) if settings.keys() == {"return_inverse"} else unique(pairs, **settings)

    monkeypatch.setattr(torch, "unique", unshared)
    of_shared = rows.copy()
    rows.clear()
    alone = sample(policy, problems_of(PROMPTS), 9, **settings)
    assert rows[1] == alone.completion_mask[:, :, 1].sum() and sum(rows) > sum(of_shared)
    assert shared.completions == alone.completions
    assert torch.allclose(shared.logprobs, alone.logprobs, atol=1e-4)
    assert torch.allclose(shared.entropy, alone.entropy, atol=1e-4)


def test_fixed_places_change_no_sample(policy, monkeypatch):
    """What CUDA graphs need and a CPU can show: buffers kept from batch to batch, rows rounded up, masked places."""

    def run(self, rows):
        sizes.add((rows, self.length))
        return self.next_logits(rows)

    monkeypatch.setattr(GraphDecoder, "replay", run)
    monkeypatch.setattr(GraphDecoder, "UNIT", 16)
    sizes, decoder = set(), GraphDecoder(policy.model, 40, 65)
    policy.eos_ids, plain = tuple(range(1, 512, 12)), minirl.Decoder
    for chosen, group_size in ((slice(5), 8), (slice(40, 43), 5), (slice(7, 12), 8)):
        problems, settings = minirl.toy_problems("train")[chosen], {"max_new_tokens": 30, "seed": group_size}
        for temperature in (0.02, 1.0):  # rows part late and early
            monkeypatch.setattr(minirl, "Decoder", plain)
            expected = sample(policy, problems, group_size, temperature=temperature, **settings)
            monkeypatch.setattr(minirl, "Decoder", lambda _: decoder)
            got = sample(policy, problems, group_size, temperature=temperature, **settings)
            assert got.completions == expected.completions and got.completion_mask.equal(expected.completion_mask)
            assert torch.allclose(got.logprobs, expected.logprobs, atol=1e-4)
    rows, lengths = map(set, zip(*sizes, strict=True))
    assert len(rows) > 5 and rows <= {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 40} and len(lengths) > 1


def test_bfloat16_arithmetic_over_float32_weights(policy, tmp_path):
    """AdamW at a learning rate of 1e-6 would move few bfloat16 weights at all; and the sampler follows the weights."""
    model = policy.model.to(torch.bfloat16)
    model.save_pretrained(tmp_path)
    policy.tokenizer.save_pretrained(tmp_path)
    policy = load_policy(str(tmp_path), precision="bfloat16")
    assert {p.dtype for p in policy.model.parameters()} == {torch.float32}
    assert {p.dtype for p in policy.sampler.parameters()} == {torch.bfloat16}
    for (_, a), (_, b) in zip(policy.model.named_buffers(), policy.sampler.named_buffers(), strict=True):
        assert a.dtype == b.dtype and torch.equal(a, b)  # the frequencies of rotary positions
    rollout = sample(policy, problems_of(PROMPTS), 4, max_new_tokens=8, seed=0)
    before = [p.detach().clone() for p in policy.model.parameters()]
    sampled_by = [p.clone() for p in policy.sampler.parameters()]
    advantages = torch.tensor([[1.0, -1.0, 0.5, -0.5]] * 3)
    for lr in (1e-6, 1e-2):
        optimizer = torch.optim.AdamW(policy.model.parameters(), lr=lr, weight_decay=0.0)
        stats = update(policy, optimizer, rollout, advantages, Config(max_new_tokens=8))
        assert 0 < stats["logprob_gap"] < 0.05 and stats["clip_fraction"] == 0
        if lr == 1e-6:
            pairs = zip(policy.model.parameters(), before, strict=True)
            moves = torch.cat([(parameter - old).abs().flatten() for parameter, old in pairs])
            moves = moves[moves > 0]
            assert moves.median().item() == pytest.approx(1e-6, rel=0.2)
    assert any(not torch.equal(p, old) for p, old in zip(policy.sampler.parameters(), sampled_by, strict=True))
    for copied, parameter in zip(policy.sampler.parameters(), policy.model.parameters(), strict=True):
        assert torch.equal(copied, parameter.to(torch.bfloat16))
    float32 = load_policy(str(tmp_path), precision="float32")
    assert float32.sampler is None
