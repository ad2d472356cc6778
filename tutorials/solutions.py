"""Solutions of the notebooks' exercises, a function each, and what they teach. Try first: exercises.show("00.2") prints
one of them. exercises.py compares answers with what these functions return; its check calls tell what they are given.
"""

from pathlib import Path

import numpy as np
import torch
from diagnostics import cosine, live_groups, misleading_tests, sample_gradients, written_rollout
from study import student_t

import minirl
from minirl import binary, pass_rate, rloo


def rloo_by_hand():
    """For a right sample the mean of the three others is 1/3, for a wrong one 2/3."""
    return [2 / 3, 2 / 3, -2 / 3, -2 / 3]


def best_baseline(rewards, g):
    """The b that makes the mean of (R - b)^2 |g|^2 smallest: the mean of R, weighted with |g|^2.

    Likely programs have short gradients. With the reward "all tests" the right program is a likely one: 0.03 instead of
    the mean 0.16, which is beyond 2 b*. With "first test" 0.56 instead of 0.70, which is not.
    """
    weights = g.pow(2).sum(-1)
    return (rewards * weights).sum() / weights.sum()


def cosines_of_group_sizes(rewards, g, true_gradient, sizes=(2, 4, 8, 16), repeats=2000):
    """Pairs are clearly worse: a baseline of one other sample is as noisy as the sample. From 8 on it hardly matters,
    on one problem. On many problems small groups see more of them; that is another trade."""
    products, along = g @ g.T, g @ true_gradient / true_gradient.norm()  # [128, 128], [128]
    found = []
    for size in sizes:
        i = torch.randint(len(g), (repeats, 64 // size, size), generator=torch.Generator().manual_seed(size))
        weights = torch.zeros(repeats, len(g)).scatter_add_(1, i.flatten(1), rloo(rewards[i]).flatten(1))
        lengths = ((weights @ products) * weights).sum(-1).clamp(min=1e-12).sqrt()
        found.append(float((weights @ along / lengths).mean()))
    return found


def live_at_two_percent():
    """About 15 %: six of seven such groups are thrown away."""
    return live_groups(0.02, 8)


def sizes_for_half_alive(rates=(0.1, 0.03, 0.01, 0.003)):
    """p G is about ln 2: half as likely means twice as many samples. Sampling alone does not get one out of the sparse
    regime."""
    return [next(n for n in range(2, 10_000) if live_groups(p, n) >= 0.5) for p in rates]


def live_share_of(reward, outcomes, mask, size):
    groups = outcomes.shape[1] // size
    x, m = (tensor[:, : groups * size].reshape(-1, size, tensor.shape[-1]) for tensor in (outcomes, mask))
    rewards = reward(x, m)
    return float((rewards.amax(-1) > rewards.amin(-1) + 1e-6).float().mean())


def advantage_of_the_honest():
    """It is pushed down, and the constants are pushed up."""
    return 0.4 - 0.5


def wrong_that_pass_the_first_test(outcomes, mask):
    wrong = binary(outcomes, mask) == 0
    return [float(outcomes[p, wrong[p], 0].float().mean()) for p in range(len(outcomes))]


def weighted_rate(outcomes, mask):
    """It is hard_tests of minirl.REWARDS: that one's weights are 1 minus the share of *all* samples that pass a test,
    which is (the share of wrong samples) (1 - m), and a factor cancels. A coincidence on a rare test is still a
    coincidence: on the base of notebook 02 it ranks wrong samples no better."""
    weights = 1 - misleading_tests(outcomes, mask)
    weights = weights / weights.sum(-1, keepdim=True)
    return (outcomes * weights[:, None]).sum(-1)


def kept_of_three():
    """0.61: without any conflict, orthogonal directions lose 39 % of all pushes."""
    return (1 + 0.25 + 0.25) ** 0.5 / 2


def kept_of_group(policy, rollout, rates, p):
    weights = minirl.token_weights(rollout.completion_mask[p], "constant", 32)
    g = sample_gradients(policy, rollout, p, weights)
    a = rloo(rates)[p]
    return float((a @ g).norm() / (a.abs() * g.norm(dim=-1)).sum())


def cosines_of_the_positive(policy, rollout, rates, problems, groups):
    """On the base of notebook 03 it helps in three groups of seven, and hurts in four: wrong programs have something in
    common; pushing the worst of them down takes that out of the update. The negative advantages are not to blame."""
    found = []
    for p in groups:
        weights = minirl.token_weights(rollout.completion_mask[p], "constant", 32)
        update = rloo(rates)[p].clamp(min=0) @ sample_gradients(policy, rollout, p, weights)
        target = written_rollout(policy, problems[p], [problems[p].solution])
        found.append(cosine(update, sample_gradients(policy, target, 0, torch.ones(1, 1))[0]))
    return found


def pairs_that_it_takes(spread, difference=0.02):
    """n >= (2 s / d)^2, rounded up."""
    return int(np.ceil((2 * spread / difference) ** 2))


def best_of_group(outcomes, mask):
    """Dead only if all pass equally many tests. It pays as much for the best of a hopeless group as for a full pass:
    dense, and not calibrated at all. (`elite`, in rewards.py, pays the best their pass rate.)"""
    rates = pass_rate(outcomes, mask)
    return (rates == rates.amax(-1, keepdim=True)).float()


def intervals_of_comparisons(pairs):
    """Of lists of differences, a comparison each: mean - t s / sqrt(n) and mean + t s / sqrt(n). Four exclude 0, all of
    eight pairs. With five pairs t is larger, and the mean noisier: such intervals are half as wide again."""
    found = []
    for differences in map(np.array, pairs):
        n = len(differences)
        half = student_t(0.975, n - 1) * differences.std(ddof=1) / n**0.5
        found.append([differences.mean() - half, differences.mean() + half])
    return found


def gigabytes_to_train(parameters=1.5e9):
    """24 GB before a single activation: such a GPU is full."""
    return 16 * parameters / 1e9


def pass_rate_of_step(run):
    """Any other reward can be computed so, too, long after the run."""
    rows = minirl.read_jsonl(Path(run) / "rollouts" / "step_000001.jsonl")
    return float(pass_rate(*minirl.outcomes_of_rows(rows)).mean())
