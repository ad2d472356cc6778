"""tutorials/dynamic_sampling.py: groups wait until there are enough of them."""

import pytest
import torch
from conftest import tiny_model
from dynamic_sampling import groups_of, joined, main, train
from test_train import gradient_of

from minirl import Config, UsageError, make_policy, read_jsonl, sample, toy_problems

REWARD = """
def second(outcomes, mask, rollout):  # every second problem of a batch has a signal
    return rollout.completion_ids[..., 0].float() * (torch.arange(len(outcomes)) % 2)[:, None]
import torch
"""


@pytest.fixture
def settings(tmp_path, tokenizer):
    tiny_model().save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "mine.py").write_text(REWARD)
    common = {"model": str(tmp_path / "model"), "reward": f"{tmp_path / 'mine.py'}:second", "workers": 1, "lr": 1e-3}
    common |= {"problems_per_step": 4, "group_size": 4, "eval_every": 0, "eval_size": 2, "eval_samples": 2}
    return common | {"max_new_tokens": 6, "out": str(tmp_path / "run")}


def test_an_update_waits_for_enough_groups_with_a_signal(settings):
    folder = train(Config(**settings, steps=7), live_groups=5)  # two a step: after steps 3 and 6; and the last one
    rows = [row for row in read_jsonl(folder / "metrics.jsonl") if row["step"]]
    assert [row["dead_groups"] for row in rows] == [0.5] * 7
    assert [row["grad_norm"] > 0 for row in rows] == [False, False, True, False, False, True, True]


def test_steps_without_a_signal_move_nothing_the_last_one_neither(settings, tmp_path):
    folder = train(Config(**settings | {"reward": "binary"}, steps=2))  # a random model passes nothing
    rows = [row for row in read_jsonl(folder / "metrics.jsonl") if row["step"]]
    assert [row["grad_norm"] for row in rows] == [0.0, 0.0]
    with pytest.raises(UsageError, match="--kl"):
        train(Config(**settings, kl=0.1))


def test_a_resumed_run_has_lost_the_groups_that_waited(settings):
    train(Config(**settings, steps=3), live_groups=7)  # 2, 4, 6 groups wait; the last step takes them all
    folder = train(Config(**settings, steps=7, resume=settings["out"]), live_groups=7)
    rows = [row for row in read_jsonl(folder / "metrics.jsonl") if row["step"]]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert [row["grad_norm"] > 0 for row in rows] == [False, False, True, False, False, False, True]


def test_it_has_minirls_command_line(settings, capsys, monkeypatch):
    monkeypatch.setattr("minirl.train", None)  # put back after the test
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    assert main([*flags, "--steps", "2"]) == 0 and "after 2 steps" in capsys.readouterr().out


def test_groups_that_wait_push_as_they_would_together(tokenizer):
    policy = make_policy(tiny_model(), tokenizer)
    problems = toy_problems("test")[:5]
    generator = torch.Generator().manual_seed(0)
    batches, whole = [], 0.0
    for part, longest in ((problems[:2], 5), (problems[2:], 9)):  # of different widths
        rollout = sample(policy, part, 3, max_new_tokens=longest, seed=longest)
        advantages = torch.randn(len(part), 3, generator=generator)
        advantages[0] = 0.0  # a dead group
        gradient, _ = gradient_of(policy, rollout, advantages, algorithm="rloo", max_new_tokens=9)
        whole = whole + gradient * len(part)  # a mean over its groups
        batches.append(groups_of(rollout, advantages, torch.tensor([False] + [True] * (len(part) - 1))))
    rollout, advantages = joined(batches)
    assert advantages.shape == (3, 3) and rollout.completion_ids.shape[:2] == (3, 3)
    together, _ = gradient_of(policy, rollout, advantages, algorithm="rloo", max_new_tokens=9)
    assert torch.allclose(together * 3, whole, atol=1e-5 * float(whole.abs().max()))
