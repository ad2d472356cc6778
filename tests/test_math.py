"""Rewards, advantages, loss and pass@k: against hand-computed values and plain Python."""

import itertools
import math
import random

import pytest
import torch

import minirl
from minirl import (
    ADVANTAGES,
    NORMALISATION,
    REWARDS,
    UsageError,
    binary,
    dr_grpo,
    entropy_of,
    find_reward,
    gated,
    grpo,
    hard_tests,
    is_dead,
    pass_at_k,
    pass_rate,
    policy_loss,
    reinforce,
    rloo,
    summarize,
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


def test_rewards_of_groups_are_those_of_their_docstrings():
    assert gated(*outcomes_of(["1111", "1110", "0000"], ["1110", "1000", "0000"])).tolist() == [
        [1, 0, 0],
        [0.75, 0.25, 0],
    ]
    hard = hard_tests(*outcomes_of(["1111", "1110", "1100", "1000"], ["1111"] * 4))
    assert torch.allclose(hard, torch.tensor([[1, 1 / 2, 1 / 6, 0], [1, 1, 1, 1]]))


def check_full_passes_earn_most(reward):
    """On random groups: 1 to a full pass and less to anything else, wherever in the group a sample stands."""
    generator = torch.Generator().manual_seed(0)
    outcomes = torch.rand(200, 6, 5, generator=generator) < torch.rand(200, 1, 1, generator=generator)
    mask = torch.arange(5) < torch.randint(1, 6, (200, 1, 1), generator=generator)
    mask = mask.expand_as(outcomes)
    rewards, full = reward(outcomes, mask), binary(outcomes, mask) > 0
    assert full.any() and rewards.shape == full.shape
    assert rewards[full].tolist() == pytest.approx([1.0] * int(full.sum()))
    assert (rewards[~full] < 1 - 1e-6).all() and (rewards >= 0).all()
    order = torch.randperm(6, generator=generator)
    assert torch.allclose(reward(outcomes[:, order], mask), rewards[:, order])


@pytest.mark.parametrize("name", ["binary", "pass_rate", "gated", "hard_tests"])
def test_every_reward_gives_1_to_a_full_pass_and_less_to_anything_else(name):
    check_full_passes_earn_most(REWARDS[name])


def test_beside_a_full_pass_gated_is_binary():
    outcomes, mask = outcomes_of(["1111", "1110", "0111"], ["1111", "1111", "0000"])
    assert torch.equal(gated(outcomes, mask), binary(outcomes, mask))


def test_a_reward_of_ones_own_is_found_by_its_path(tmp_path, monkeypatch):
    (tmp_path / "my_rewards.py").write_text("def squared(outcomes, mask):\n    return outcomes.float().mean(-1) ** 2\n")
    monkeypatch.chdir(tmp_path)
    assert find_reward("my_rewards.squared")(*outcomes_of(["10"])).tolist() == [[0.25]]
    assert minirl.Config(reward="my_rewards.squared").reward == "my_rewards.squared"
    for name, words in (
        ("kindness", "choose from binary"),
        ("no_file.f", "cannot find"),
        ("my_rewards.g", "cannot find"),
    ):
        with pytest.raises(UsageError, match=words):
            find_reward(name)


def check_hidden_tests_do_not_count(reward):
    """Tests that a problem does not have change nothing, and a reward changes neither outcomes nor mask."""
    outcomes, mask = outcomes_of(["11..", "1..."])
    before = outcomes.clone(), mask.clone()
    assert torch.equal(reward(outcomes, mask), reward(outcomes | ~mask, mask))
    assert torch.equal(outcomes, before[0]) and torch.equal(mask, before[1])


@pytest.mark.parametrize("name", ["binary", "pass_rate", "gated", "hard_tests"])
def test_rewards_ignore_what_the_mask_hides_and_change_nothing(name):
    check_hidden_tests_do_not_count(REWARDS[name])


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
    draws = {"binary": lambda: rng.randint(0, 1), "tenths": lambda: rng.randint(0, 10) / 10, "any": rng.random}
    for draw, size, dtype in itertools.product(draws.values(), (2, 3, 8), (torch.float32, torch.float64)):
        groups = [[draw() for _ in range(size)] for _ in range(20)]
        computed = ADVANTAGES[name](torch.tensor(groups, dtype=dtype)).flatten()
        expected = torch.tensor(reference_advantages(name, groups), dtype=dtype)
        assert torch.allclose(computed, expected, atol=1e-5 if dtype == torch.float32 else 1e-10)


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
def test_a_batch_of_equal_rewards_gets_exactly_zero(name):
    for reward in {k / m for m in range(1, 12) for k in range(m + 1)}:
        assert torch.count_nonzero(ADVANTAGES[name](torch.full((3, 7), reward))) == 0


@pytest.mark.parametrize("name", ADVANTAGES)
def test_advantages_leave_the_rewards_as_they_are(name):
    rewards = torch.tensor([[1.0, 0.0, 0.5], [0.5, 0.5, 0.5]])
    before = rewards.clone()
    ADVANTAGES[name](rewards)
    assert torch.equal(rewards, before)


@pytest.mark.parametrize("name", ADVANTAGES)
def test_a_sample_alone_is_refused(name):
    with pytest.raises(UsageError, match="at least 2, got 1"):
        ADVANTAGES[name](torch.ones(1, 1))


def test_token_weights_by_hand():
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0]], dtype=torch.bool)
    assert torch.allclose(token_weights(mask, "token", 8), mask / 4)
    assert torch.allclose(token_weights(mask, "sequence", 8), mask / torch.tensor([[6.0], [2.0]]))
    assert torch.allclose(token_weights(mask, "constant", 8), mask / 16)
    floats = mask.float()
    assert all(torch.equal(token_weights(floats, n, 8), token_weights(mask, n, 8)) for n in ("token", "sequence"))
    assert torch.equal(floats, mask.float())  # not changed in place
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
    loss, *_ = policy_loss(logprobs, old, advantages, weights, 0.2, reference, 0.1)
    lists = [tensor.tolist() for tensor in (logprobs, old, advantages, weights)]
    assert loss.item() == pytest.approx(reference_loss(*lists, 0.2, reference.tolist(), 0.1))
    assert all(map(torch.equal, before, (logprobs, old, advantages, weights)))


# One batch by the formulas of TRL 1.16: its documentation ("GRPO Trainer") and trl/trainer/grpo_trainer.py. TRL itself
# is run by benchmarks/check_trl.py. Here every completion is a row of its own length, without masks and weights.


def random_groups(seed, groups=3, size=8, length=9):
    """Rewards [P, G], log-probabilities (of the policy, the sampler, the reference) and mask, all [P * G, L]."""
    generator = torch.Generator().manual_seed(seed)
    rewards = torch.rand(groups, size, generator=generator, dtype=torch.float64)
    logprobs = -3 * torch.rand(groups * size, length, generator=generator, dtype=torch.float64)
    noise = 0.3 * torch.randn(2, *logprobs.shape, generator=generator, dtype=torch.float64)
    lengths = torch.randint(1, length + 1, (groups * size, 1), generator=generator)
    return rewards, logprobs.requires_grad_(), *(logprobs.detach() + noise), torch.arange(length) < lengths


def trl_loss(loss_type, logprobs, old, advantages, mask, max_completion_length, reference, beta, epsilon=0.2):
    """Documentation: "Estimating the KL divergence", "Computing the loss" (its clipped surrogate), "Loss Types"; code:
    _compute_loss. Where one process has the whole batch in one backward pass, "bnpo" and "dapo" are the same."""
    rows = []
    for i, length in enumerate(mask.sum(-1).tolist()):
        ratio = (logprobs[i, :length] - old[i, :length]).exp()
        quotient = reference[i, :length].exp() / logprobs[i, :length].exp()
        surrogate = torch.min(ratio * advantages[i], ratio.clip(1 - epsilon, 1 + epsilon) * advantages[i])
        rows.append(surrogate - beta * (quotient - quotient.log() - 1))
    if loss_type == "grpo":
        return -sum(row.mean() for row in rows) / len(rows)
    if loss_type == "dr_grpo":
        return -torch.cat(rows).sum() / (max_completion_length * len(rows))
    return -torch.cat(rows).mean()


@pytest.mark.parametrize("beta", [0.0, 0.1])
@pytest.mark.parametrize(
    ("normalisation", "loss_type"),
    [(NORMALISATION["grpo"], "grpo"), ("token", "dapo"), ("token", "bnpo"), (NORMALISATION["dr_grpo"], "dr_grpo")],
)
def test_loss_and_gradient_equal_trls_formulas(normalisation, loss_type, beta):
    for seed in range(5):
        rewards, logprobs, old, reference, mask = random_groups(seed)
        advantages = dr_grpo(rewards).flatten()
        ratio, up = (logprobs - old).exp(), advantages[:, None] > 0
        regions = (ratio > 1.2) & up, (ratio > 1.2) & ~up, (ratio < 0.8) & up, (ratio < 0.8) & ~up
        assert all((region & mask).any() for region in regions)  # the clip acts in the first and the last
        theirs = trl_loss(loss_type, logprobs, old, advantages, mask, 16, reference, beta)
        ours, *_ = policy_loss(logprobs, old, advantages, token_weights(mask, normalisation, 16), 0.2, reference, beta)
        gradients = [torch.autograd.grad(loss, logprobs)[0] for loss in (ours, theirs)]
        assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)  # the weights are float32
        assert torch.allclose(*gradients, rtol=1e-6, atol=0) and gradients[0].count_nonzero() > 0


def test_advantages_are_trls_but_for_its_epsilon():
    """_generate_and_score_completions: (r - mean) / (std + 1e-4) with scale_rewards="group" (the documentation leaves
    out the 1e-4), r - mean with "none". So GRPO's advantages here are exactly 1 + 1e-4 / std times TRL's."""
    for seed in range(20):
        rewards = random_groups(seed)[0]
        centered = rewards - rewards.mean(-1, keepdim=True)
        std = (centered.square().sum(-1, keepdim=True) / (rewards.shape[-1] - 1)).sqrt()
        assert torch.allclose(grpo(rewards), centered / (std + 1e-4) * (1 + 1e-4 / std), rtol=0, atol=1e-12)
        assert torch.allclose(dr_grpo(rewards), centered, rtol=0, atol=1e-12)


def test_rloo_is_trls_on_policy_up_to_a_constant():
    """trl/trainer/rloo_trainer.py, _compute_loss: one ratio and one clip for a whole sample, and the mean over samples.
    On-policy its gradient is max_new_tokens times minirl's; off-policy they differ: minirl clips tokens."""
    for seed in range(5):
        rewards, logprobs, _, _, mask = random_groups(seed)
        others = (rewards.sum(-1, keepdim=True) - rewards) / (rewards.shape[-1] - 1)
        assert torch.allclose(rloo(rewards), rewards - others, rtol=0, atol=1e-12)
        advantages = rloo(rewards).flatten()
        ratio = ((logprobs - logprobs.detach()) * mask).sum(-1).exp()
        theirs = -torch.min(ratio * advantages, ratio.clip(0.8, 1.2) * advantages).mean()
        ours, *_ = policy_loss(logprobs, logprobs.detach(), advantages, token_weights(mask, NORMALISATION["rloo"], 16))
        gradients = [torch.autograd.grad(loss, logprobs)[0] for loss in (ours * 16, theirs)]
        assert torch.allclose(*gradients, rtol=1e-6, atol=0)


def test_on_policy_the_gradient_is_that_of_weighted_logprobs():
    logprobs, _, advantages, mask = loss_inputs()
    weights = token_weights(mask, "token", 8)
    loss, clipped, _ = policy_loss(logprobs, logprobs.detach(), advantages, weights)
    loss.backward()
    assert torch.allclose(logprobs.grad, -(weights * advantages[:, None]))
    assert clipped == 0


def test_the_clip_acts_on_one_side_for_each_sign():
    """Past 1 + clip a good sample stops pulling, below 1 - clip a bad one stops pushing; the other sides still act."""
    for advantage, ratio, stopped in ((1, 1.5, True), (1, 0.5, False), (-1, 0.5, True), (-1, 1.5, False)):
        logprobs = torch.tensor([[math.log(ratio)]], requires_grad=True)
        loss, clipped, _ = policy_loss(logprobs, torch.zeros(1, 1), torch.tensor([advantage]), torch.ones(1, 1))
        loss.backward()
        assert logprobs.grad.item() == pytest.approx(0.0 if stopped else -advantage * ratio)
        assert bool(clipped) == stopped


def test_hidden_positions_never_matter_even_when_they_are_not_finite():
    logprobs, old, advantages, mask = loss_inputs()
    weights = token_weights(mask, "sequence", 8)
    clean, *_ = policy_loss(logprobs, old, advantages, weights, 0.2, old, 0.1)
    dirty = torch.where(mask, logprobs, float("nan")).detach().requires_grad_()
    loss, *_ = policy_loss(dirty, old, advantages, weights, 0.2, old, 0.1)
    loss.backward()
    assert loss.item() == pytest.approx(clean.item()) and torch.isfinite(dirty.grad).all()
    assert torch.count_nonzero(dirty.grad[~mask]) == 0


@pytest.mark.parametrize("normalisation", ["token", "sequence", "constant"])
def test_an_empty_completion_gives_no_nan(normalisation):
    mask = torch.zeros(2, 3, dtype=torch.bool)
    weights = token_weights(mask, normalisation, 3)
    loss, clipped, _ = policy_loss(torch.zeros(2, 3), torch.zeros(2, 3), torch.ones(2), weights)
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
    assert entropy_of(torch.full((2, 512), -math.log(512))).tolist() == pytest.approx([math.log(512)] * 2)
    assert entropy_of(torch.tensor([0.0, float("-inf")])) == 0


def test_pass_at_k_equals_the_enumeration_of_subsets():
    for n in range(1, 7):
        for c, k in itertools.product(range(n + 1), range(1, n + 1)):
            subsets = list(itertools.combinations([i < c for i in range(n)], k))
            assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))
    for bad in ((4, 5, 1), (4, 1, 0), (4, 1, 5), (4, -1, 1)):
        with pytest.raises(UsageError, match="pass@k"):
            pass_at_k(*bad)


def test_summary_of_outcomes_with_intervals():
    def rows(*groups):
        return [{"outcomes": [[int(mark) for mark in marks] for marks in group]} for group in groups]

    summary = summarize(rows(*[["11"] * 8] * 10, *[["10"] + ["00"] * 7] * 10))
    assert summary["pass@1"] == summary["pass@8"] == 0.5
    assert summary["pass_rate"] == pytest.approx(0.5 + 0.5 / 16)
    # Ten of twenty problems solved: the binomial standard error is 0.112
    assert 0.2 < summary["pass@1_low"] < 0.35 and 0.65 < summary["pass@1_high"] < 0.8
    lucky = summarize(rows(["11"] + ["10"] * 7))
    assert lucky["pass@1"] == 1 / 8 and lucky["pass@8"] == 1 and lucky["pass_rate"] == 9 / 16
