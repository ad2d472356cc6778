"""tutorials/claims.py: what its numbers are means of."""

import json

import claims
import diagnostics
import numpy as np
import pytest
import torch
from study import REMEDIES, STRENGTHS, conditions_of


def group(has_full_pass, gain, shuffled, pairs=None, kept=0.5):
    of_reward = {"gain": gain, "shuffled": shuffled, "random": [], "kept": kept}
    return {"has_full_pass": has_full_pass, "pairs": pairs or {}, "rewards": {"pass_rate": of_reward}}


def mean_in(values):
    found = claims.interval_of(values)
    return round(found[0], 2) if found else None


def test_gains_are_counted_over_live_groups_without_a_full_pass():
    groups = [group(False, gain, [0.1, -0.1, -0.2, 0.3]) for gain in (0.2, 0.1, -0.3, 0.4, 0.2)]
    groups += [group(True, -5.0, [-1.0]), group(False, None, [], kept=None)]  # solved; dead
    rows = [{"gradients": groups}] * 2
    assert mean_in(claims.gaining(rows, "gain")) == 0.8 and mean_in(claims.gaining(rows, "shuffled")) == 0.5
    assert mean_in(claims.gaining(rows, "random")) is None
    assert mean_in(claims.of_reports(rows, "pass_rate", "gain", False)) == 0.12
    assert mean_in(claims.of_reports(rows, "pass_rate", "kept", None)) == 0.5
    assert mean_in(claims.of_reports(rows, "pass_rate", "gain", True)) is None, "one problem is too few"
    mine, others = (claims.of_reports(rows, "pass_rate", name, False) for name in ("gain", "shuffled"))
    assert mean_in(claims.differences(mine, others)) == pytest.approx(0.12 - 0.025, abs=0.006)


def test_fewer_tests_leave_more_groups_without_a_signal():
    rows = [{"outcomes": [["1101", "1010"], ["1000", "0000"]]}] * 2
    assert claims.density(rows, "pass_rate", 2)[0] == [1.0, 1.0], "3 and 2 of 4; 1 and 0"
    assert claims.density(rows, "pass_rate", 2, slice(1, None))[0] == [1.0, 0.0], "2 and 1 of 3; 0 and 0"
    assert claims.density(rows, "pass_rate", 2, slice(1, 3))[0] == [0.0, 0.0]


def test_pairs_are_those_of_the_groups_that_have_them():
    groups = [group(False, 0.1, [], {"none-full": {"cosine": x, "below": 1.0}}) for x in (0.1, 0.2, 0.3, 0.4, 0.5)]
    rows = [{"gradients": [*groups, group(False, 0.1, [])]}] * 2
    assert mean_in(claims.of_pairs(rows, "none-full", "cosine")) == 0.3
    assert mean_in(claims.of_pairs(rows, "full-full", "cosine")) is None
    pushes = [{"pairs": {}, "pushes": {"none-full": {"cosine": -x}}} for x in (0.1, 0.2, 0.3)]
    assert mean_in(claims.of_pairs([{"gradients": pushes}] * 4, "none-full", "cosine", "pushes")) == -0.2


def test_the_control_of_a_class_is_all_other_pairs_of_the_groups_that_have_it():
    few, many = {"below": 1.0, "pairs": 10}, {"below": 0.2, "pairs": 30}
    pairs = {"none-full": {"below": 0.5, "pairs": 7}, "partial-full": many, "none-none": few}
    rows = [{"gradients": [group(False, 0.1, [], pairs)] * 4}] * 3
    rows[0]["gradients"].append(group(False, 0.1, [], {"partial-full": few}))  # no none-full
    assert mean_in(claims.of_other_pairs(rows, "none-full", "below")) == pytest.approx((10 * 1.0 + 30 * 0.2) / 40)
    assert claims.of_other_pairs(rows, "none-full", "below")[0][-1] is None


def test_a_dead_group_has_the_cosine_0_with_the_target():
    found = claims.cosine_to_target("pass_rate")
    cell = {"cosine_to_target": 0.6, "live": 0.25}
    assert found({"p_full": 0.3, "mass": 0.6, "rewards": {"pass_rate": {"8": cell}}}) == pytest.approx(0.15)


def test_the_truth_of_wrong_samples_by_their_pass_rate():
    """Problems of ten tests: a sample is right, one passes 7 tests and has a wrong slot, one passes 3, one none."""
    outcomes = [["1" * 10, "1" * 7 + "000", "1" * 3 + "0" * 7, "0" * 10]] * 4
    prefixes = [{"problem": p, "pass_rate": 0.7, "values": [0.0, 0.5, 1.0]} for p in range(4)]
    rows = [{"outcomes": outcomes, "distances": [[0, 1, 2, None]] * 4, "prefixes": prefixes}] * 3
    found = claims.wrong_samples(rows)
    expected = [(x, pytest.approx(truth), p) for p in range(4) for x, truth in ((0.7, 2 / 3), (0.3, 1 / 3))]
    assert found["slots"][0] == expected, "wrong samples that the grammar knows"

    def truths(name, low, high):
        return claims.truths_between(found[name], low, high)

    assert mean_in(truths("slots", 0.7, 1.0)) == 0.67, "0.7 is not below 0.7"
    assert mean_in(truths("slots", 0.3, 0.7)) == 0.33
    assert claims.mean_of(truths("slots", 0.0, 0.3)) == "-"
    assert mean_in(claims.differences(truths("slots", 0.7, 1.0), truths("slots", 0.3, 0.7))) == 0.33
    assert mean_in(truths("prefix", 0.7, 1.0)) == 0.5
    assert mean_in(claims.from_scratch(rows)) == 0.25


def test_rank_correlations_are_taken_within_a_problem_and_have_a_ceiling():
    rng = np.random.default_rng(0)
    easy = [(0.5 + x / 20, float(y), 0) for x, y in enumerate(rng.permutation(8))]  # problem 0: high rates and truths
    hard = [(x / 20, y - 10.0, p) for p in (1, 2) for x, y in enumerate(rng.permutation(8))]
    cell = claims.within_problems([easy + hard] * 4, diagnostics.spearman)
    assert abs(mean_in(cell)) < 0.6, "that one problem is easier does not count"
    assert mean_in(claims.within_problems([easy + hard] * 4, diagnostics.spearman_ceiling)) == 1.0
    tied = [(float(x), float(x > 2), p) for p in range(4) for x in range(4)]
    assert mean_in(claims.within_problems([tied] * 5, diagnostics.spearman_ceiling)) == 0.77


def test_dead_groups_are_updates_of_zero():
    """Of 16 updates u of a group of 8, four are of length 1 and one way, the others 0: |E u| is 1/4, the root of E u^2
    is 1/2."""
    problem = {"p_full": 0.3, "mass": 0.6, "rewards": {"pass_rate": {"8": {"agreement": 1.0, "live": 0.25}}}}
    assert claims.agreement("pass_rate", with_dead=True)(problem) == pytest.approx((1 / 4) / (1 / 2))
    assert claims.agreement("pass_rate", with_dead=False)(problem) == 1.0


def test_binarys_live_groups_are_known_and_not_counted():
    """Half of all programs that are drawn are right: all groups of 8 live but two in 256. Of 16 nobody may."""
    cell = {"agreement": None, "cosine_to_target": None, "live": 0.0}
    problem = {"p_full": 0.3, "mass": 0.6, "rewards": {"binary": {"8": cell}}}
    assert claims.agreement("binary", with_dead=True)(problem) == pytest.approx((254 / 256) ** 0.5)
    assert claims.cosine_to_target("binary")(problem) == pytest.approx(254 / 256)
    assert claims.agreement("binary", with_dead=False)(problem) is None


def test_a_pretrained_model_is_measured_from_its_evaluation(toy, tmp_path, monkeypatch):
    settings = ["--families", "predicates", "--samples", "16", "--eval-size", "3", "--out", str(tmp_path / "e.jsonl")]
    assert toy.main(["eval", *settings]) == 0
    written, lengths = claims.diagnostics.written_rollout, []
    monkeypatch.setattr(
        claims.diagnostics, "written_rollout", lambda *a: lengths.extend(a[3:]) or written(*a)
    )  # the samples' own tokens: no end token behind one that ended without
    claims.measure_model(tmp_path / "e.jsonl", tmp_path / "row.json")
    row, evaluated = json.loads((tmp_path / "row.json").read_text()), toy.read_jsonl(tmp_path / "e.jsonl")
    assert row["task_ids"] == [x["task_id"] for x in evaluated]
    outcomes, mask = toy.outcomes_of_rows(evaluated)
    assert torch.equal(claims.outcomes_of(row)[0], outcomes) and torch.equal(claims.outcomes_of(row)[1], mask)
    live = [p for p in range(3) if len({sum(sample) for sample in evaluated[p]["outcomes"]}) > 1]
    assert [x["problem"] for x in row["gradients"]] == list(range(len(live)))
    assert lengths == [evaluated[p]["tokens"] for p in live]
    assert {x["problem"] for x in row["prefixes"]} == set(range(len(live)))
    first, solved = row["gradients"][0], any(all(sample) for sample in evaluated[live[0]]["outcomes"])
    assert first["rewards"]["pass_rate"]["kept"] > 0 and first["rewards"]["pass_rate"]["gain"] is None
    assert first["has_full_pass"] == solved and (first["rewards"]["binary"]["kept"] is not None) == solved
    monkeypatch.setattr(claims, "interval_of", lambda values: (1.0,) * 3 if set(sum(values, [])) - {None} else None)
    labels = {label for rows in claims.tables({"toy": [row]}) for label, _ in rows}
    assert "groups of 8 with a signal: binary" in labels and "share of right slots" not in " ".join(labels)


def test_problems_may_have_different_numbers_of_tests():
    rows = [{"outcomes": [["11", "10"], ["1110", "1111"], ["0", "0"], ["1", "1"], ["000", "001"]]}] * 2
    assert claims.solved(rows)[0] == [0.5, 0.5, 0.0, 1.0, 0.0]
    assert claims.density(rows, "binary", 2)[0] == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert claims.density(rows, "pass_rate", 2)[0] == [1.0, 1.0, 0.0, 0.0, 1.0]


def test_the_figures_come_from_the_committed_measurements(tmp_path):
    bases = claims.bases_of_strength()
    assert list(bases) == list(STRENGTHS) and all(len(rows) == 5 for rows in bases.values())
    for draw in (claims.steps_figure, claims.calibration_figure, claims.conflict_figure):
        draw(bases, tmp_path / "figure.png")
        assert (tmp_path / "figure.png").stat().st_size > 20_000


def test_every_remedy_has_its_words_on_both_bases():
    conditions, words = conditions_of(REMEDIES), claims.REMEDIES_IN_WORDS
    assert len(conditions) == 2 * len(words)
    for i, condition in enumerate(conditions):
        stages, said = condition.get("stages", [{}]), words[i % len(words)]
        assert condition["toy_noise"] == STRENGTHS["weak" if i < len(words) else "starved"]["toy_noise"][0]
        assert ("live_groups" in condition) == said.startswith("dynamic")
        assert str(condition.get("live_groups", "")) in said
        assert ("group_size" in condition) == ("× 32" in said) and ("baseline" in condition) == ("no baseline" in said)
        assert ("min_pass" in condition) == said.startswith("only problems")
        assert ("min_pass" in stages[0]) == said.startswith("such problems")
        assert ("levels" in stages[0]) == ("level 1" in said)
        assert (stages[0].get("algorithm") == "rloo") == ("RLOO first" in said) and stages[0].get("reward", "") in said
        assert (condition["steps"] in (1200, 2000)) == ("twice" in said)


def test_a_pair_has_an_interval_over_seeds_and_one_over_problems():
    binary = np.zeros((3, 4))
    pass_rate = binary + np.array([[0.1], [0.2], [0.3]])  # seeds differ, problems do not
    cells = ["0.000 [0.000, 0.000]", "0.200 [-0.048, 0.448]", "+0.200 [-0.048, +0.448]", "0.310"]
    assert claims.cells_of_pair(np.array([binary, pass_rate]), ways=1) == cells
    assert claims.cells_of_pair(np.array([binary, pass_rate]), ways=2)[4:] == ["+0.200 [+0.200, +0.200]", "0.000"]
