"""The assignment: a reward and an advantage. Fill in the two functions, then

    python grade_assignment.py assignment.py

README.md in this folder has the task in words, the rubric, and part three.
"""

import torch


def rare_tests(outcomes: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Pays for the tests that few of the group pass, but never more than for a full pass. [P, G, T] -> [P, G].

    outcomes  bool, which tests each sample passed; at the place of a test that does not exist it means nothing
    mask      bool, which tests exist (problems may have fewer than T)

    In a group in which somebody passes all tests: 1 for whoever does, else 0.
    In any other group: (number of *rare* tests that the sample passes) / (number of tests of the problem), where a test
    is rare if at most half of the group's samples pass it.

    A group 1110 1100 1000 0000 (four tests; all but the first are rare) gets 0.5 0.25 0 0.
    """
    ...


def floored_grpo(rewards: torch.Tensor, floor: float = 0.2) -> torch.Tensor:
    """GRPO whose standard deviation is at least `floor`, so that tiny differences stay tiny. [P, G] -> [P, G].

    A_i = (R_i - mean(R)) / max(std(R), floor), std with G - 1; exactly 0 in a group of equal rewards, also if they are
    equal but for rounding (differences below 1e-6).

    Rewards 1 0 0 0 give 1.5 -0.5 -0.5 -0.5; rewards 0.1 0 0 0 give 0.375 -0.125 -0.125 -0.125.
    """
    ...
