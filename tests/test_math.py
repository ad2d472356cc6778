"""Rewards, advantages, loss and pass@k: against hand-computed values and plain Python."""

import itertools
import math
import random

import pytest
import torch

from minirl import (
    ADVANTAGES,
    REWARDS,
    UsageError,
    _entropy,
    binary,
    dr_grpo,
    grpo,
    is_dead,
    pass_at_k,
    pass_rate,
    policy_loss,
    reinforce,
    rloo,
    summarize_outcomes,
    token_weights,
)


def outcomes_of(*groups):
    """ "1110" per sample -> outcomes and mask [P, G, T]; "." is a test that the problem does not have."""
    outcomes = torch.tensor([[[c == "1" for c in sample] for sample in group] for group in groups])
    mask = torch.tensor([[[c != "." for c in sample] for sample in group] for group in groups])
    return outcomes, mask


def test_rewards_of_a_worked_example():
    outcomes, mask = outcomes_of(["1111", "1110", "0000"], ["11..", "10..", "00.."])
    assert binary(outcomes, mask).tolist() == [[1, 0, 0], [1, 0, 0]]
    assert pass_rate(outcomes, mask).tolist() == [[1, 0.75, 0], [1, 0.5, 0]]


def test_rewards_ignore_what_the_mask_hides_and_change_nothing():
    outcomes, mask = outcomes_of(["11..", "1..."])
    for reward in REWARDS.values():
        before = outcomes.clone(), mask.clone()
        assert torch.equal(reward(outcomes, mask), reward(outcomes | ~mask, mask))
        assert torch.equal(outcomes, before[0]) and torch.equal(mask, before[1])


def reference_advantages(name, groups):
    """The definitions, in plain Python."""
    batch = [reward for group in groups for reward in group]
    result = []
    for group in groups:
        mean = sum(group) / len(group)
        variance = sum((r - mean) ** 2 for r in group) / (len(group) - 1)
        for i, reward in enumerate(group):
            others = group[:i] + group[i + 1 :]
            result.append(
                {
                    "grpo": (reward - mean) / math.sqrt(variance) if variance > 1e-12 else 0.0,
                    "rloo": reward - sum(others) / len(others),
                    "dr_grpo": reward - mean,
                    "reinforce": reward - sum(batch) / len(batch),
                }[name]
            )
    return result


@pytest.mark.parametrize("name", ADVANTAGES)
def test_advantages_equal_their_definitions(name):
    rng = random.Random(0)
    for size in (2, 3, 8):
        groups = [[rng.randint(0, 10) / 10 for _ in range(size)] for _ in range(20)]
        computed = ADVANTAGES[name](torch.tensor(groups)).flatten()
        assert torch.allclose(computed, torch.tensor(reference_advantages(name, groups)), atol=1e-5)


def test_advantages_of_one_success_in_four():
    rewards = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    assert torch.allclose(grpo(rewards), torch.tensor([[1.5, -0.5, -0.5, -0.5]]))
    assert torch.allclose(rloo(rewards), torch.tensor([[1.0, -1 / 3, -1 / 3, -1 / 3]]))
    assert torch.allclose(dr_grpo(rewards), torch.tensor([[0.75, -0.25, -0.25, -0.25]]))
    two = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    assert torch.allclose(reinforce(two), torch.tensor([[0.25, 0.25], [-0.75, 0.25]]))


@pytest.mark.parametrize("name", ["grpo", "rloo", "dr_grpo"])
def test_dead_groups_get_exactly_zero(name):
    # k/m repeated: the float mean of equal numbers is not that number, and a tiny std would blow the difference up
    rewards = torch.tensor([[k / m] * size for m in range(1, 12) for k in range(m + 1) for size in (7,)])
    assert not torch.equal(rewards.mean(-1, keepdim=True).expand_as(rewards), rewards)  # the trap is there
    assert torch.count_nonzero(ADVANTAGES[name](rewards)) == 0
    assert is_dead(rewards).all()


@pytest.mark.parametrize("name", ADVANTAGES)
def test_a_sample_alone_is_refused(name):
    with pytest.raises(UsageError, match="at least 2, got 1"):
        ADVANTAGES[name](torch.ones(1, 1))


def test_token_weights_by_hand():
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0]], dtype=torch.bool)
    assert torch.allclose(token_weights(mask, "token", 8), mask / 4)
    assert torch.allclose(token_weights(mask, "sequence", 8), mask / torch.tensor([[6.0], [2.0]]))
    assert torch.allclose(token_weights(mask, "constant", 8), mask / 16)
    with pytest.raises(UsageError, match="normalisation"):
        token_weights(mask, "words", 8)


def test_length_bias_of_the_three_normalisations():
    """Two samples of equal advantage, one three times as long: who moves the policy more?"""
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]], dtype=torch.bool)
    shares = {name: token_weights(mask, name, 3).sum(-1) for name in ("token", "sequence", "constant")}
    assert torch.allclose(shares["token"], torch.tensor([0.75, 0.25]))
    assert torch.allclose(shares["sequence"], torch.tensor([0.5, 0.5]))
    assert torch.allclose(shares["constant"], torch.tensor([0.5, 1 / 6]))


def loss_inputs(rows=4, length=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logprobs = -torch.rand(rows, length, generator=generator, dtype=torch.float64) * 3
    old = logprobs + 0.5 * torch.randn(rows, length, generator=generator, dtype=torch.float64)
    advantages = torch.randn(rows, generator=generator, dtype=torch.float64)
    mask = torch.arange(length) < torch.tensor([[5], [3], [1], [4]])[:rows]
    return logprobs.requires_grad_(), old, advantages, mask


def reference_loss(logprobs, old, advantages, weights, clip=0.2, reference=None, kl=0.0):
    total = 0.0
    for i, t in itertools.product(range(len(logprobs)), range(len(logprobs[0]))):
        ratio = math.exp(logprobs[i][t] - old[i][t])
        clipped = min(max(ratio, 1 - clip), 1 + clip)
        objective = min(ratio * advantages[i], clipped * advantages[i])
        if kl:
            d = reference[i][t] - logprobs[i][t]
            objective -= kl * (math.exp(d) - d - 1)
        total -= weights[i][t] * objective
    return total


@pytest.mark.parametrize("normalisation", ["token", "sequence", "constant"])
def test_loss_equals_a_plain_python_loop(normalisation):
    logprobs, old, advantages, mask = loss_inputs()
    reference = old - 0.3
    weights = token_weights(mask, normalisation, 8)
    before = [tensor.clone() for tensor in (logprobs, old, advantages, weights)]
    loss, _ = policy_loss(logprobs, old, advantages, weights, 0.2, reference, 0.1)
    lists = [tensor.tolist() for tensor in (logprobs, old, advantages, weights)]
    assert loss.item() == pytest.approx(reference_loss(*lists, 0.2, reference.tolist(), 0.1))
    assert all(map(torch.equal, before, (logprobs, old, advantages, weights)))


def test_on_policy_the_gradient_is_that_of_weighted_logprobs():
    logprobs, _, advantages, mask = loss_inputs()
    weights = token_weights(mask, "token", 8)
    loss, clipped = policy_loss(logprobs, logprobs.detach(), advantages, weights)
    loss.backward()
    assert torch.allclose(logprobs.grad, -(weights * advantages[:, None]))
    assert clipped == 0


def test_the_clip_acts_on_one_side_for_each_sign():
    """Past 1 + clip a good sample stops pulling, below 1 - clip a bad one stops pushing; the other sides still act."""
    for advantage, ratio, stopped in ((1, 1.5, True), (1, 0.5, False), (-1, 0.5, True), (-1, 1.5, False)):
        logprobs = torch.tensor([[math.log(ratio)]], requires_grad=True)
        loss, clipped = policy_loss(logprobs, torch.zeros(1, 1), torch.tensor([advantage]), torch.ones(1, 1))
        loss.backward()
        assert logprobs.grad.item() == pytest.approx(0.0 if stopped else -advantage * ratio)
        assert bool(clipped) == stopped


def test_hidden_positions_never_matter_even_when_they_are_not_finite():
    logprobs, old, advantages, mask = loss_inputs()
    weights = token_weights(mask, "sequence", 8)
    clean, _ = policy_loss(logprobs, old, advantages, weights, 0.2, old, 0.1)
    dirty = torch.where(mask, logprobs, float("nan")).detach().requires_grad_()
    loss, _ = policy_loss(dirty, old, advantages, weights, 0.2, old, 0.1)
    loss.backward()
    assert loss.item() == pytest.approx(clean.item()) and torch.isfinite(dirty.grad).all()
    assert torch.count_nonzero(dirty.grad[~mask]) == 0


@pytest.mark.parametrize("normalisation", ["token", "sequence", "constant"])
def test_an_empty_completion_gives_no_nan(normalisation):
    mask = torch.zeros(2, 3, dtype=torch.bool)
    weights = token_weights(mask, normalisation, 3)
    loss, clipped = policy_loss(torch.zeros(2, 3), torch.zeros(2, 3), torch.ones(2), weights)
    assert loss == 0 and clipped == 0 and torch.isfinite(weights).all()


def test_kl_is_zero_at_the_reference_and_its_gradient_is_right():
    logprobs, old, _, mask = loss_inputs()
    weights, none = token_weights(mask, "token", 8), torch.zeros(4, dtype=torch.float64)
    same = logprobs.detach()
    assert policy_loss(same, same, none, weights, 0.2, same, 1.0)[0] == 0
    assert policy_loss(same, same, none, weights, 0.2, old, 1.0)[0] > 0

    def kl(tensor):
        return policy_loss(tensor, same, none, weights, 0.2, old, 1.0)[0]

    kl(logprobs).backward()  # with advantages of 0: a dead group still trains under a KL penalty
    for place in ((0, 0), (1, 2), (3, 3)):
        step = torch.zeros_like(same)
        step[place] = 1e-6
        slope = (kl(same + step) - kl(same - step)) / 2e-6
        assert logprobs.grad[place].item() == pytest.approx(slope.item(), rel=1e-5)
        assert logprobs.grad[place] != 0


def test_entropy_of_the_uniform_distribution_is_log_of_the_vocabulary():
    assert _entropy(torch.full((2, 512), -math.log(512))).tolist() == pytest.approx([math.log(512)] * 2)
    assert _entropy(torch.tensor([0.0, float("-inf")])) == 0


def test_pass_at_k_equals_the_enumeration_of_subsets():
    for n in range(1, 7):
        for c, k in itertools.product(range(n + 1), range(1, n + 1)):
            subsets = list(itertools.combinations([i < c for i in range(n)], k))
            assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))
    for bad in ((4, 5, 1), (4, 1, 0), (4, 1, 5), (4, -1, 1)):
        with pytest.raises(UsageError, match="pass@k"):
            pass_at_k(*bad)


def test_summary_of_outcomes_with_intervals():
    outcomes, mask = outcomes_of(*[["11"] * 8] * 10, *[["10"] + ["00"] * 7] * 10)
    summary = summarize_outcomes(list(zip(outcomes, mask, strict=True)))
    assert summary["pass@1"] == summary["pass@8"] == 0.5
    assert summary["pass_rate"] == pytest.approx(0.5 + 0.5 / 16)
    # Ten of twenty problems solved: the binomial standard error is 0.112
    assert 0.2 < summary["pass@1_low"] < 0.35 and 0.65 < summary["pass@1_high"] < 0.8
