"""tutorials/claims.py: what its numbers are means of."""

import claims
import numpy as np
import pytest
from study import STRENGTHS


def group(has_full_pass, gain, shuffled, pairs=None, kept=0.5):
    of_reward = {"gain": gain, "shuffled": shuffled, "random": [], "kept": kept}
    return {"has_full_pass": has_full_pass, "pairs": pairs or {}, "rewards": {"pass_rate": of_reward}}


def mean_in(cell):
    return claims.numbers(cell)[0]


def test_gains_are_counted_over_live_groups_without_a_full_pass():
    groups = [group(False, gain, [0.1, -0.1, -0.2, 0.3]) for gain in (0.2, 0.1, -0.3, 0.4, 0.2)]
    groups += [group(True, -5.0, [-1.0]), group(False, None, [], kept=None)]  # solved; dead
    rows = [{"gradients": groups}]
    assert mean_in(claims.gaining(rows, "gain")) == 0.8 and mean_in(claims.gaining(rows, "shuffled")) == 0.5
    assert claims.gaining(rows, "random") == "-"
    assert mean_in(claims.of_reports(rows, "pass_rate", "gain", False)) == 0.12
    assert mean_in(claims.of_reports(rows * 2, "pass_rate", "kept", None)) == 0.5
    assert claims.of_reports(rows, "pass_rate", "gain", True) == "-", "one group is too few"


def test_pairs_are_those_of_the_groups_that_have_them():
    groups = [group(False, 0.1, [], {"none-full": {"cosine": x, "below": 1.0}}) for x in (0.1, 0.2, 0.3, 0.4, 0.5)]
    rows = [{"gradients": [*groups, group(False, 0.1, [])]}]
    assert mean_in(claims.of_pairs(rows, "none-full", "cosine")) == 0.3
    assert claims.of_pairs(rows, "full-full", "cosine") == "-"


def test_the_truth_of_wrong_samples_by_their_pass_rate():
    """Two problems of ten tests: one sample is right, one passes 8 tests and has one wrong slot, one passes none."""
    outcomes = [["1" * 10, "1" * 8 + "00", "0" * 10]] * 2
    prefixes = [{"problem": p, "pass_rate": 0.8, "values": [0.0, 0.5, 1.0]} for p in (0, 1)]
    rows = [{"outcomes": outcomes, "distances": [[0, 1, None]] * 2, "prefixes": prefixes}] * 3
    found = claims.wrong_samples(rows)
    assert found["slots"][0] == [(pytest.approx(0.8), 1 - 1 / 3, p) for p in (0, 1)], "only what the grammar knows"
    assert mean_in(claims.truth_between(found["slots"], 0.7, 1.0)) == 0.67
    assert claims.truth_between(found["slots"], 0.0, 0.7) == "-"
    assert mean_in(claims.truth_between(found["prefix"], 0.7, 1.0)) == 0.5


def test_rank_correlations_are_taken_within_a_problem_and_have_a_ceiling():
    rng = np.random.default_rng(0)
    easy = [(0.5 + x / 20, float(y), 0) for x, y in enumerate(rng.permutation(8))]  # problem 0: high rates and truths
    hard = [(x / 20, y - 10.0, 1) for x, y in enumerate(rng.permutation(8))]
    cell = claims.rank_correlation([easy + hard] * 3)
    assert abs(mean_in(cell)) < 0.6, "that one problem is easier does not count"
    assert mean_in(claims.ceiling([easy + hard] * 3)) == 1.0
    tied = [(float(x), float(x > 2), 0) for x in range(4)]
    assert mean_in(claims.ceiling([tied] * 5)) == 0.77


def test_the_figures_come_from_the_committed_measurements(tmp_path):
    bases = claims.bases_of_strength()
    assert list(bases) == list(STRENGTHS) and all(len(rows) == 5 for rows in bases.values())
    for draw in (claims.steps_figure, claims.calibration_figure, claims.conflict_figure):
        draw(bases, tmp_path / "figure.png")
        assert (tmp_path / "figure.png").stat().st_size > 20_000
