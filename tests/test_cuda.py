"""What only a GPU can show. Skipped where there is none."""

import copy

import pytest
import torch
from conftest import tiny_model
from cuda_graphs import Graphs

import minirl
from minirl import Config, load_policy, make_policy, read_jsonl, sample, token_logprobs, toy_problems, train, update

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
ADVANTAGES = torch.tensor([[1.5, -0.5, -0.5, -0.5], [0.0] * 4, [-1.0, 1.0, 0.0, 0.0], [0.3, 0.3, 0.3, -0.9]])


def policies(tokenizer, kind="llama", precision=torch.float32, **changes):
    """The same policy on the CPU, in float32, and on the GPU."""
    model = tiny_model(kind, **changes)
    return make_policy(copy.deepcopy(model), tokenizer), make_policy(model.to("cuda"), tokenizer, precision)


def test_the_sampler_follows_the_weights(tokenizer):
    for precision in (torch.float32, torch.bfloat16):
        _, policy = policies(tokenizer, precision=precision)
        problems = toy_problems("train")[:4]
        rollout = sample(policy, problems, 4, max_new_tokens=12)
        optimizer = torch.optim.AdamW(policy.model.parameters(), lr=0.01, fused=True)
        update(policy, optimizer, rollout, ADVANTAGES.cuda(), Config(max_new_tokens=12))
        assert sample(policy, problems, 4, max_new_tokens=12).completions != rollout.completions


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_cpu_and_gpu_agree(tokenizer, kind):
    """The same random numbers, so the same samples; the same log-probabilities; the same gradient."""
    cpu, gpu = policies(tokenizer, kind)
    problems = toy_problems("train")[:4]
    on_cpu, on_gpu = (sample(policy, problems, 4, max_new_tokens=12, seed=1) for policy in (cpu, gpu))
    assert on_cpu.completions == on_gpu.completions
    assert torch.allclose(on_cpu.logprobs, on_gpu.logprobs.cpu(), atol=1e-4)
    for policy, rollout in ((cpu, on_cpu), (gpu, on_gpu)):
        optimizer = torch.optim.SGD(policy.model.parameters(), lr=0.0)
        advantages = ADVANTAGES.to(policy.device)
        update(policy, optimizer, rollout, advantages, Config(max_new_tokens=12, max_grad_norm=1e9))
    for a, b in zip(cpu.model.parameters(), gpu.model.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad.cpu(), atol=1e-5)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_graphs_change_no_sample(tokenizer, kind):
    """From batch to batch the same graphs are replayed, over what the last batch has left in its places."""
    _, policy = policies(tokenizer, kind)
    policy.eos_ids = tuple(range(1, 512, 12))
    graphs = Graphs()
    for chosen, group_size in ((slice(5), 8), (slice(40, 43), 5), (slice(7, 12), 8)):
        given = {"group_size": group_size, "max_new_tokens": 30, "seed": group_size}
        plain = sample(policy, toy_problems("train")[chosen], **given)
        with graphs:
            replayed = minirl.sample(policy, toy_problems("train")[chosen], **given)
        assert replayed.completions == plain.completions
        assert torch.allclose(replayed.logprobs, plain.logprobs, atol=1e-4)
    assert len(graphs.decoder.graphs) > 3


def test_bfloat16_is_what_auto_chooses(toy):
    policy = load_policy("toy", device="cuda")
    assert policy.precision == torch.bfloat16 and policy.model.dtype == torch.float32
    rollout = sample(policy, toy_problems("train")[:4], 4)
    with torch.no_grad():
        inputs = rollout.prompt_ids, rollout.prompt_mask, rollout.completion_ids[:, 0], rollout.completion_mask[:, 0]
        scored = token_logprobs(policy, *inputs)
    mask = rollout.completion_mask[:, 0]
    assert scored.dtype == torch.float32 and (scored - rollout.logprobs[:, 0])[mask].abs().mean() < 0.05


def test_a_run_on_the_gpu_resumes(toy, tmp_path):
    settings = {"problems_per_step": 4, "group_size": 4, "eval_size": 4, "eval_every": 0, "device": "cuda"}
    train(Config(out=str(tmp_path / "run"), steps=1, **settings))
    train(Config(resume=str(tmp_path / "run"), steps=2, **settings))
    assert [row["step"] for row in read_jsonl(tmp_path / "run" / "metrics.jsonl")] == [0, 1, 2]
