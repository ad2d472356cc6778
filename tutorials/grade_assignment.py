"""The autograder: python grade_assignment.py assignment.py      (70 points; 30 more are for the report)"""

import importlib.util
import sys
from pathlib import Path

import torch

CHECKS, POINTS = [], 10  # functions whose docstrings say what they check, and what each is worth
# of twenty random groups: sums of the rewards of their six samples, times 1 to 6
SUMS = [1.5, 13.0, 8.0, 11.666667, 2.0, 5.5, 6.25, 8.0, 4.333333, 1.0]
SUMS += [4.75, 9.0, 1.0, 7.8, 14.0, 9.0, 1.0, 5.6, 8.0, 2.0]


def graded(check):
    CHECKS.append(check)
    return check


def group(*samples):
    """ "1110", "1100", ... -> outcomes and mask of one problem, [1, G, T]; a dot is a test that does not exist."""
    outcomes = torch.tensor([[[mark == "1" for mark in sample] for sample in samples]])
    return outcomes, torch.tensor([[[mark != "." for mark in sample] for sample in samples]])


def expect_shape(actual, shape):
    if not isinstance(actual, torch.Tensor):
        raise AssertionError(f"a tensor is expected, not {repr(actual)[:60]}")
    if actual.shape != shape:
        raise AssertionError(f"a tensor of the shape {list(shape)} is expected, not {list(actual.shape)}")


def expect(actual, expected):
    expected = torch.as_tensor(expected, dtype=torch.float32)
    expect_shape(actual, expected.shape)
    if not torch.allclose(actual.float(), expected, atol=1e-5):
        far = (actual.float() - expected).abs().nan_to_num(torch.inf).argmax()
        raise AssertionError(f"expected {expected.flatten()[far]:.4g}, got {actual.flatten()[far]:.4g}")


@graded
def worked_reward(answer):
    """the reward of the worked example"""
    expect(answer.rare_tests(*group("1110", "1100", "1000", "0000")), [[0.5, 0.25, 0.0, 0.0]])


@graded
def full_pass(answer):
    """beside a full pass, nothing else counts"""
    expect(answer.rare_tests(*group("1111", "1110", "0000", "1111")), [[1.0, 0.0, 0.0, 1.0]])


@graded
def missing_tests(answer):
    """tests that do not exist do not count, and the inputs stay as they are"""
    first, second = group("10..", "00.."), group("1010", "0000")
    both = [torch.cat(pair) for pair in zip(first, second, strict=True)]
    expect(answer.rare_tests(*both), [[0.5, 0.0], [0.5, 0.0]])
    for samples, right in ((("11..", "10.."), [1.0, 0.0]), (("10..", "00.."), [0.5, 0.0])):
        outcomes, mask = group(*samples)
        outcomes |= ~mask & torch.tensor([[[True], [False]]])  # what stands at such a place means nothing
        copies = outcomes.clone(), mask.clone()
        expect(answer.rare_tests(outcomes, mask), [right])
        if not (outcomes.equal(copies[0]) and mask.equal(copies[1])):
            raise AssertionError("an input was changed")


@graded
def random_groups(answer):
    """the reward of twenty random groups"""
    rng = torch.Generator().manual_seed(0)
    outcomes = torch.rand(20, 6, 5, generator=rng) < 0.4
    exists = torch.randint(1, 6, (20, 1, 1), generator=rng)
    mask = (torch.arange(5) < exists).expand(20, 6, 5).clone()
    found = answer.rare_tests(outcomes.clone(), mask.clone())
    expect_shape(found, (20, 6))
    for i, (total, right) in enumerate(zip((found.float() @ torch.arange(1.0, 7.0)).tolist(), SUMS, strict=True)):
        if not abs(total - right) < 1e-4:
            marks = torch.where(mask[i], outcomes[i].long(), 2).tolist()
            samples = " ".join("".join("01."[mark] for mark in sample) for sample in marks)
            raise AssertionError(
                f"the group {samples} (a dot: no such test): its six rewards, times 1, 2, ... 6, "
                f"add up to {right:.4g}, and yours to {total:.4g}"
            )


@graded
def worked_advantages(answer):
    """the advantages of the worked examples"""
    rewards = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.1, 0.0, 0.0, 0.0]])
    expect(answer.floored_grpo(rewards), [[1.5, -0.5, -0.5, -0.5], [0.375, -0.125, -0.125, -0.125]])
    for small in (10, 10_000):  # they stay as small as they are
        expect(small * answer.floored_grpo(rewards[1:] / small), [[0.375, -0.125, -0.125, -0.125]])


@graded
def dead_groups(answer):
    """a group of equal rewards has the advantage 0, exactly"""
    equal = torch.full((3, 8), 0.7)
    for rewards in (equal, equal + torch.linspace(0, 1e-7, 8), torch.zeros(1, 4)):
        advantages = answer.floored_grpo(rewards)
        expect(advantages, torch.zeros_like(rewards))
        if (advantages != 0).any():
            raise AssertionError(f"not exactly 0, but up to {advantages.abs().max():.1g}")
    if not torch.isfinite(answer.floored_grpo(torch.eye(4))).all():
        raise AssertionError("a group with one right sample has an advantage that is no number")


@graded
def inputs_and_floor(answer):
    """the advantage's input stays as it is, and its floor is a parameter"""
    rewards = torch.tensor([[1.0, 0.5, 0.0]])
    expect(answer.floored_grpo(given := rewards.clone(), floor=1.0), [[0.5, 0.0, -0.5]])
    if not given.equal(rewards):
        raise AssertionError("an input was changed")


def load(file):
    spec = importlib.util.spec_from_file_location("answer", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(file="assignment.py"):
    """Grade a file: a line a check, and the score last. Returns 0 if all points were earned, else 1."""
    if not Path(file).is_file():
        print(f"There is no file {file}.")
        return 1
    try:
        answer = load(file)
    except Exception as error:
        print(f"{file} cannot be read: {type(error).__name__}: {error}")
        return 1
    score = 0
    for check in CHECKS:
        why = ""
        try:
            check(answer)
            score += POINTS
        except AssertionError as error:
            why = f": {error}"
        except Exception as error:
            why = f": it stopped with {type(error).__name__}: {error}"
        print(f"{0 if why else POINTS:3} of {POINTS}  {check.__doc__}{why}")
    total = POINTS * len(CHECKS)
    all_right = " All that a program can grade is right." if score == total else ""
    print(f"\nYour score is {score} of {total} points.{all_right}")
    return int(score < total)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
