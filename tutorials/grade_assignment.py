"""The autograder: ANSWER=assignment.py pytest -q grade_assignment.py      (70 points; 30 more are for the report)

The score stands above what pytest says of the tests that failed.
"""

import importlib.util
import os
from pathlib import Path

import pytest
import torch

POINTS, FILE = {}, Path(os.environ.get("ANSWER", "assignment.py"))


def worth(points):
    def mark(test):
        POINTS[test.__name__] = points
        return test

    return mark


@pytest.fixture(scope="module")
def answer():
    spec = importlib.util.spec_from_file_location("answer", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def group(*samples):
    """ "1110", "1100", ... -> outcomes and mask of one problem, [1, G, T]; a dot is a test that does not exist."""
    outcomes = torch.tensor([[[mark == "1" for mark in sample] for sample in samples]])
    return outcomes, torch.tensor([[[mark != "." for mark in sample] for sample in samples]])


def close(actual, expected):
    assert actual.shape == torch.tensor(expected).shape, f"the shape is {tuple(actual.shape)}"
    assert torch.allclose(actual.float(), torch.tensor(expected, dtype=torch.float32), atol=1e-5), actual


@worth(10)
def test_the_reward_of_the_worked_example(answer):
    close(answer.rare_tests(*group("1110", "1100", "1000", "0000")), [[0.5, 0.25, 0.0, 0.0]])


@worth(10)
def test_beside_a_full_pass_nothing_else_counts(answer):
    close(answer.rare_tests(*group("1111", "1110", "0000", "1111")), [[1.0, 0.0, 0.0, 1.0]])


@worth(10)
def test_tests_that_do_not_exist_do_not_count(answer):
    first, second = group("10..", "00.."), group("1010", "0000")
    both = [torch.cat(pair) for pair in zip(first, second, strict=True)]
    close(answer.rare_tests(*both), [[0.5, 0.0], [0.5, 0.0]])
    close(answer.rare_tests(*group("11..", "10..")), [[1.0, 0.0]])


@worth(10)
def test_random_groups_agree_with_a_slow_reference(answer):
    rng = torch.Generator().manual_seed(0)
    outcomes = torch.rand(20, 6, 5, generator=rng) < 0.4
    exists = torch.randint(1, 6, (20, 1, 1), generator=rng)
    mask = (torch.arange(5) < exists).expand(20, 6, 5)
    outcomes = outcomes & mask
    expected = []
    for group_outcomes, count in zip(outcomes.tolist(), exists.flatten().tolist(), strict=True):
        samples = [sample[:count] for sample in group_outcomes]
        if any(map(all, samples)):
            expected.append([float(all(sample)) for sample in samples])
        else:
            rare = [t for t in range(count) if sum(sample[t] for sample in samples) <= len(samples) / 2]
            expected.append([sum(sample[t] for t in rare) / count for sample in samples])
    close(answer.rare_tests(outcomes, mask), expected)


@worth(10)
def test_the_advantages_of_the_worked_examples(answer):
    rewards = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.1, 0.0, 0.0, 0.0]])
    close(answer.floored_grpo(rewards), [[1.5, -0.5, -0.5, -0.5], [0.375, -0.125, -0.125, -0.125]])


@worth(10)
def test_a_group_of_equal_rewards_has_no_advantage(answer):
    equal = torch.full((3, 8), 0.7)
    rounded = equal + torch.linspace(0, 1e-7, 8)
    for rewards in (equal, rounded, torch.zeros(1, 4)):
        advantages = answer.floored_grpo(rewards)
        assert (advantages == 0).all(), advantages
    assert torch.isfinite(answer.floored_grpo(torch.eye(4))).all()


@worth(10)
def test_the_inputs_stay_as_they_are_and_the_floor_is_a_parameter(answer):
    outcomes, mask = group("1110", "1100", "1000")
    rewards = torch.tensor([[1.0, 0.5, 0.0]])
    copies = outcomes.clone(), mask.clone(), rewards.clone()
    answer.rare_tests(outcomes, mask)
    close(answer.floored_grpo(rewards, floor=1.0), [[0.5, 0.0, -0.5]])
    assert outcomes.equal(copies[0]) and mask.equal(copies[1]) and rewards.equal(copies[2])


@pytest.fixture(scope="session", autouse=True)
def score(request):
    yield
    failed = request.session.testsfailed
    passed = {item.name for item in request.session.items if getattr(item, "passed", False)}
    points = sum(POINTS[name] for name in passed if name in POINTS)
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        print(f"\n\nscore: {points} of {sum(POINTS.values())} points ({failed} tests failed)")


@pytest.fixture(autouse=True)
def remember(request):
    before = request.session.testsfailed
    yield
    request.node.passed = request.session.testsfailed == before
