"""The rewards of tutorials/rewards.py: their worked examples, what all rewards have in common, where they are found."""

from pathlib import Path

import pytest
import torch
from rewards import OTHER_COLORS, OTHER_REWARDS, elite, frontier, gated_hard, mixed, near_miss, power, without_empty
from test_math import check_full_passes_earn_most, check_hidden_tests_do_not_count, outcomes_of

from minirl import COLORS, Config, UsageError, binary, find_reward

FOLDER = Path(__file__).parents[1] / "tutorials"


def test_rewards_of_groups_are_those_of_their_docstrings():
    assert power(*outcomes_of(["1111", "1110", "1100"]))[0].tolist() == pytest.approx([1, 0.75**4, 0.5**4])
    assert mixed(*outcomes_of(["1111", "1110", "0000"])).tolist() == [[1, 0.375, 0]]
    assert torch.allclose(
        frontier(*outcomes_of(["1100", "1000", "0011", "0000"], ["1110", "1111", "1111", "0001"])),
        torch.tensor([[5 / 11, 0, 6 / 11, 0], [0, 1, 1, 0]]),
    )
    partial = outcomes_of(["1110", "1000", "0000"])
    assert gated_hard(*partial).tolist() == [[0.625, 0.125, 0]] and elite(*partial).tolist() == [[0.75, 0, 0]]
    assert torch.allclose(near_miss(*outcomes_of(["11110", "11000", "00000"])), torch.tensor([[0.8, 0, 0]]))
    assert without_empty(*outcomes_of(["1111", "1110", "0111", "1000"])).tolist() == [[1, 0.5, 0.75, 0]]
    assert not near_miss(*outcomes_of(["110", "100", "000"])).any(), "2 of 3 tests are no near miss"


@pytest.mark.parametrize("name", OTHER_REWARDS)
def test_every_reward_gives_1_to_a_full_pass_and_less_to_anything_else(name):
    check_full_passes_earn_most(OTHER_REWARDS[name])


@pytest.mark.parametrize("name", ["frontier", "gated_hard", "elite", "near_miss"])
def test_beside_a_full_pass_gated_rewards_are_binary(name):
    outcomes, mask = outcomes_of(["1111", "1110", "0111"], ["1111", "1111", "0000"])
    assert torch.equal(OTHER_REWARDS[name](outcomes, mask), binary(outcomes, mask))


@pytest.mark.parametrize("name", OTHER_REWARDS)
def test_rewards_ignore_what_the_mask_hides_and_change_nothing(name):
    check_hidden_tests_do_not_count(OTHER_REWARDS[name])


@pytest.mark.parametrize("name", OTHER_REWARDS)
def test_a_reward_is_found_by_its_file_and_by_its_module(name, monkeypatch):
    group = outcomes_of(["11110", "11100", "00011"])
    expected = OTHER_REWARDS[name](*group).tolist()
    by_file = f"{FOLDER}/rewards.py:{name}"
    assert find_reward(by_file)(*group).tolist() == expected and Config(reward=by_file).reward == by_file
    monkeypatch.chdir(FOLDER)
    assert find_reward(f"rewards.{name}")(*group).tolist() == expected
    assert find_reward(f"rewards.py:{name}")(*group).tolist() == expected


def test_a_reward_that_is_not_there_is_a_sentence():
    for name in (f"{FOLDER}/rewards.py:kindness", f"{FOLDER}/no_such_file.py:frontier"):
        with pytest.raises(UsageError, match="cannot find the reward"):
            find_reward(name)


def test_every_reward_has_a_colour_of_its_own():
    colors = {name: COLORS[name] for name in ("binary", "pass_rate", "gated", "hard_tests")} | OTHER_COLORS
    assert set(OTHER_COLORS) == set(OTHER_REWARDS) and len(set(colors.values())) == 10
