"""Six rewards that people try beyond minirl's four. Notebook 04 compares them, and study.py trains on them.

    minirl train --reward tutorials/rewards.py:frontier     a file and a function of it, from any folder
    minirl train --reward rewards.frontier                  a module of the current folder and a function of it

Each is a function of the outcomes of groups, as those of minirl.REWARDS are: outcomes [P, G, T] (which tests each
sample passed) and mask [P, G, T] (which tests exist) -> rewards [P, G]. The examples write a sample as its marks: 1110
passes three tests of four.
"""

from __future__ import annotations

import torch

from minirl import binary, hard_tests, pass_rate


def power(outcomes: torch.Tensor, mask: torch.Tensor, exponent: float = 4.0) -> torch.Tensor:
    """The pass rate to a power: a near miss earns something, a half-pass next to nothing. [P, G, T] -> [P, G].

    R = (passed / tests)^4.  Outcomes 1111, 1110 and 1100 get 1, 0.32 and 0.06.
    """
    return pass_rate(outcomes, mask) ** exponent


def mixed(outcomes: torch.Tensor, mask: torch.Tensor, share: float = 0.5) -> torch.Tensor:
    """The mean of binary and pass rate: a full pass stands out by a bonus. [P, G, T] -> [P, G].

    R = (1[all pass] + passed / tests) / 2.  Outcomes 1111 and 1110 get 1 and 0.375.
    """
    return (1 - share) * binary(outcomes, mask) + share * pass_rate(outcomes, mask)


def frontier(outcomes: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """hard_tests, but 0 for a sample if another one of the group passes strictly more. [P, G, T] -> [P, G].

    Sample j dominates i if it passes every test that i passes, and another one. A full pass dominates everything else:
    then this is the binary reward, with no rule that says so. A group 1100 1000 0011 0000 gets 5/11, 0, 6/11, 0: the
    second and the last are dominated, which leaves fewer directions that could cancel each other.
    """
    passed = outcomes & mask
    covers = (passed.unsqueeze(-3) | ~passed.unsqueeze(-2)).all(-1)  # [P, i, j]: j passes whatever i passes
    dominated = (covers & ~covers.transpose(-1, -2)).any(-1)  # [P, i]: by some j that i does not cover in turn
    return hard_tests(outcomes, mask) * ~dominated


def gated_hard(outcomes: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """hard_tests only while nobody in the group fully passes; else binary. [P, G, T] -> [P, G].

    A group 1111 1110 0000 gets 1 0 0; a group 1110 1000 0000 gets 5/8 1/8 0: tests that fewer pass count for more.
    """
    return binary_once_solved(outcomes, mask, hard_tests(outcomes, mask))


def elite(outcomes: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The pass rate, for the best samples of the group alone. [P, G, T] -> [P, G].

    R_i = r_i if r_i = max_j r_j, else 0, with r the pass rate. A group 1111 1110 0000 gets 1 0 0, as under binary; a
    group 1110 1000 0000 gets 0.75 0 0: one direction to push in, not one for every partial pass.
    """
    rates = pass_rate(outcomes, mask)
    return torch.where(rates == rates.amax(-1, keepdim=True), rates, 0.0)


def near_miss(outcomes: torch.Tensor, mask: torch.Tensor, threshold: float = 0.8) -> torch.Tensor:
    """The pass rate from a threshold on, while nobody in the group fully passes; else binary. [P, G, T] -> [P, G].

    R_i = r_i if r_i >= 0.8, else 0, with r the pass rate. A group 11111 11110 00000 gets 1 0 0; a group 11110 11000
    00000 gets 0.8 0 0. A program that passes nearly everything is nearly right; one that passes half may be anything.
    """
    rates = pass_rate(outcomes, mask)
    return binary_once_solved(outcomes, mask, torch.where(rates >= threshold - 1e-6, rates, 0.0))


def binary_once_solved(outcomes: torch.Tensor, mask: torch.Tensor, rewards: torch.Tensor) -> torch.Tensor:
    """These rewards [P, G], but the binary ones in a group in which somebody fully passes."""
    full = binary(outcomes, mask)
    return torch.where(full.amax(-1, keepdim=True) > 0, full, rewards)


def without_empty(outcomes: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The pass rate, but the first test pays for a full pass alone: in the toy the empty input. [P, G, T] -> [P, G].

    Outcomes 1111, 1110, 0111 and 1000 get 1, 0.5, 0.75 and 0. A control, for results/README.md: the constant 0 earns
    nothing more for being the sum of no numbers.
    """
    others = (outcomes & mask)[..., 1:].sum(-1)
    return (others + binary(outcomes, mask)) / mask.sum(-1)


OTHER_REWARDS = {
    "power": power,
    "mixed": mixed,
    "frontier": frontier,
    "gated_hard": gated_hard,
    "elite": elite,
    "near_miss": near_miss,
}
# Their colours in every figure, of the palette that minirl.COLORS is of.
OTHER_COLORS = {
    "power": "#E69F00",
    "mixed": "#56B4E9",
    "frontier": "#117733",
    "gated_hard": "#999999",
    "elite": "#882255",
    "near_miss": "#000000",
}
