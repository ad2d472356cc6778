"""tutorials/one_page.py is short, learns, and computes the gradient that minirl computes."""

import random
from pathlib import Path
from types import SimpleNamespace

import one_page
import pytest
import torch
from conftest import tiny_model

from minirl import Config, Rollout, make_policy, toy_problems, update

LONGEST = 12
# One right sample, all wrong, half right, all right: two of the four groups are dead.
REWARDS = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0] * 4, [1.0, 0.0, 1.0, 0.0], [1.0] * 4])


@pytest.fixture
def policy(tokenizer):
    """A random model whose completions have all lengths: one token in nine ends them."""
    policy = make_policy(tiny_model(), tokenizer)
    policy.eos_ids = tuple(range(1, 61))
    return policy


@pytest.fixture
def problems():
    return toy_problems("train")[:4]


@pytest.fixture
def groups(policy, problems):
    torch.manual_seed(0)
    return [one_page.sample_group(policy, problem, 4, LONGEST) for problem in problems]


def written(ids, mask):
    """What the mask shows of a group's completions: a list of token ids for every sample."""
    return [row[m].tolist() for row, m in zip(ids[:, -mask.shape[1] :], mask, strict=True)]


def gradient_of(model):
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def test_it_fits_on_a_page():
    assert len(Path(one_page.__file__).read_text(encoding="utf-8").splitlines()) <= 150


def test_a_sample_ends_with_its_first_end_token(policy, problems, groups):
    lengths = set()
    for problem, (ids, mask) in zip(problems, groups, strict=True):
        assert ids[:, : -mask.shape[1]].tolist() == [policy.prompt_ids(problem)] * 4
        for row in written(ids, mask):
            assert not set(row[:-1]) & set(policy.eos_ids)
            assert row[-1] in policy.eos_ids or len(row) == LONGEST
            lengths.add(len(row))
    assert len(lengths) > 5


def test_its_gradient_is_that_of_minirl(policy, problems, groups):
    """... up to the constant LONGEST, by which minirl divides."""
    advantages = one_page.rloo(REWARDS)
    assert advantages[0].tolist() == pytest.approx([1, -1 / 3, -1 / 3, -1 / 3])
    one_page.loss_of(policy.model, groups, advantages).backward()
    ours = gradient_of(policy.model) / LONGEST

    prompts = policy.pad([policy.prompt_ids(problem) for problem in problems], side="left")
    rows, masks = policy.pad([row for group in groups for row in written(*group)], side="right")
    zeros = torch.zeros(4, 4, rows.shape[1])  # log-probabilities and entropies, for the log only
    texts = [[""] * 4] * 4
    rollout = Rollout(*prompts, rows.view_as(zeros), masks.view_as(zeros), zeros, zeros, texts, temperature=1.0)
    config = Config(algorithm="rloo", normalisation="constant", max_new_tokens=LONGEST, max_grad_norm=1e9)
    policy.model.zero_grad()
    update(policy, torch.optim.SGD(policy.model.parameters(), lr=0.0), rollout, advantages, config)
    theirs = gradient_of(policy.model)
    assert theirs.norm() > 0 and (ours - theirs).norm() <= 1e-4 * theirs.norm()


def test_it_learns(toy, capsys, monkeypatch):
    """Programs that ask `any` are said to be right: soon there are more of them, and the page says so."""
    random.seed(0)
    torch.manual_seed(0)
    monkeypatch.setattr(one_page, "P", 2)
    monkeypatch.setattr(one_page.sample_group.__wrapped__, "__defaults__", (8, 12))  # short ones will do

    def tests_of_our_own(policy, problem, ids, mask, sandbox):
        texts = policy.tokenizer.batch_decode(ids[:, -mask.shape[1] :])
        return [SimpleNamespace(all_passed="any" in text) for text in texts]

    monkeypatch.setattr(one_page, "run_tests", tests_of_our_own)
    problems = toy_problems("train", ["predicates"])
    shares = one_page.train(toy.load_policy("toy"), problems, None, steps=10, learning_rate=1e-3)
    assert 0 < shares[0] < 0.7 and sum(shares[-5:]) / 5 > 0.8, shares
    assert capsys.readouterr().out.count("of the samples pass all tests") == 2
