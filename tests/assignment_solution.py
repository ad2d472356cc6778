"""A solution of the assignment, for teachers: python tutorials/grade_assignment.py tests/assignment_solution.py"""

import torch


def rare_tests(outcomes, mask):
    passed, full = outcomes & mask, (outcomes | ~mask).all(-1).float()
    rare = passed.float().mean(-2, keepdim=True) <= 0.5
    return torch.where(full.amax(-1, keepdim=True) > 0, full, (passed & rare).sum(-1) / mask.sum(-1))


def floored_grpo(rewards, floor=0.2):
    advantages = (rewards - rewards.mean(-1, keepdim=True)) / rewards.std(-1, keepdim=True).clamp(min=floor)
    return torch.where(rewards.amax(-1, keepdim=True) - rewards.amin(-1, keepdim=True) < 1e-6, 0.0, advantages)
