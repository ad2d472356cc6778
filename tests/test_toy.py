"""The toy: its problems, its base model, and the cache; and problem files."""

import json
import random
import shutil

import pytest
import torch

import minirl
from minirl import FAMILIES, Call, FromJson, Sandbox, UsageError, load_policy, load_problems, toy_mistakes, toy_problems


def test_splits_are_disjoint_fixed_and_cover_all_families():
    train, test = toy_problems("train"), toy_problems("test")
    assert not {p.task_id for p in train} & {p.task_id for p in test}
    assert not {p.prompt for p in train} & {p.prompt for p in test}
    assert {p.family.sentence for p in test} == {family.sentence for family in FAMILIES.values()}
    assert 100 <= len(test) <= len(train) / 8 and len({p.task_id for p in train + test}) == len(train + test)
    assert [p.task_id for p in toy_problems("test")] == [p.task_id for p in test]


def test_levels_and_families_select():
    assert {p.level for p in toy_problems("train", levels=[1])} == {1}
    only = toy_problems("train", ["predicates"], [3])
    assert only and {p.task_id.split("/")[0] for p in only} == {"predicates"}
    with pytest.raises(UsageError, match="unknown toy family"):
        toy_problems("train", ["poems"])
    with pytest.raises(UsageError, match="splits"):
        toy_problems("validation")


def test_every_solution_passes_and_no_constant_passes_more_than_half():
    problems = toy_problems("train") + toy_problems("test")
    with Sandbox(workers=2) as sandbox:
        results = sandbox.map(problem.program(problem.solution) for problem in problems)
        assert [p.task_id for p, result in zip(problems, results, strict=True) if not result.all_passed] == []
    for problem in problems:
        expected = [repr(test.expected) for test in problem.tests]
        assert len(expected) == minirl.TOY_TESTS and max(map(expected.count, expected)) <= len(expected) // 2
        assert problem.tests[0].args[0] in ([], "")


def test_noise_is_the_share_of_wrong_programs():
    rng, problems = random.Random(0), toy_problems("train", ["lists"])
    right = {
        noise: sum(toy_mistakes(rng, p, noise) == p.solution for p in problems for _ in range(5)) / len(problems) / 5
        for noise in (0.0, 0.3, 0.6)
    }
    assert right[0.0] == 1.0 and 0.25 < right[0.3] < 0.45 and 0.02 < right[0.6] < 0.12
    texts = [toy_mistakes(rng, p, 0.6) for p in problems]
    assert any("max([" in text and "default" not in text for text in texts)  # forgets the empty list
    assert any(text in ("    return 0\n", "    return []\n") for text in texts)  # lazy


def test_the_base_model_is_cached_and_a_changed_recipe_makes_another(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(minirl, "WARM_STEPS", 11)
    monkeypatch.setattr(minirl, "WARM_BATCH", 2)

    def load():
        model = load_policy("toy").model
        errors = capsys.readouterr().err
        weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}  # a loaded file is mapped
        return weights, "warm-starting" in errors

    assert load()[1]
    weights, made = load()
    assert not made
    (folder,) = minirl.cache_folder().iterdir()
    original = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(original[:-8])
    with pytest.raises(UsageError, match=f"cannot load the model '{folder}'"):  # a damaged one is a sentence
        load_policy("toy")
    shutil.rmtree(folder)
    again, made = load()
    assert made and all(torch.equal(weights[name], again[name]) for name in weights)  # it is the same model
    assert (folder / "model.safetensors").read_bytes() == original
    monkeypatch.setattr(minirl, "WARM_LR", 1e-3)
    assert load()[1]  # a changed recipe
    assert len(list(minirl.cache_folder().iterdir())) == 2


def test_an_unwritable_cache_is_a_notice_not_an_error(toy, monkeypatch, tmp_path, capsys):
    (tmp_path / "minirl").write_text("a file where the folder would be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(toy, "WARM_STEPS", 2)
    assert load_policy("toy").model is not None
    assert "could not be cached" in capsys.readouterr().err
    with pytest.raises(UsageError, match="probability"):
        load_policy("toy", toy_noise=1.5)


GOOD = {
    "task_id": "add",
    "prompt": "def add(a, b):\n",
    "entry_point": "add",
    "tests": [{"args": [1, 2], "expected": 3}],
}


def test_a_problem_file_is_read(tmp_path):
    more = {
        "task_id": 7,
        "prompt": "Add two numbers.",
        "tests": [{"assert": "g(1) == 2"}, {"stdin": "1", "stdout": "2"}],
        "solution": "def g(x): return x + 1",
    }
    (tmp_path / "p.jsonl").write_text(json.dumps(GOOD) + "\n\n" + json.dumps(more) + "\n")
    first, second = load_problems(tmp_path / "p.jsonl")
    assert first.tests == [Call((1, 2), FromJson((3,)))]
    assert first.program("    return a + b").source.startswith("def add(a, b):\n ")
    assert second.task_id == "7" and second.program("x = 1").source == "x = 1"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tests": None}, "field 'tests' must be a list"),
        ({"tests": [{"args": 1}]}, "field 'tests': expected"),
        ({"tests": [{"assert": "1 +"}]}, "field 'tests': not an assert statement"),
        ({"prompt": 3}, "field 'prompt' must be a string"),
        ({"entry_point": None}, "field 'tests': .* no entry_point"),
        ({"solution": 1}, "field 'solution'"),
    ],
)
def test_a_bad_line_is_named_with_file_line_and_field(tmp_path, change, words):
    file = tmp_path / "p.jsonl"
    file.write_text(json.dumps(GOOD | {"task_id": "first"}) + "\n" + json.dumps(GOOD | change) + "\n")
    with pytest.raises(UsageError, match=rf"p\.jsonl, line 2: {words}"):
        load_problems(file)


def test_other_bad_problem_files(tmp_path):
    file = tmp_path / "p.jsonl"
    for text, words in (
        ("", "holds no problem"),
        ("{", "line 1: not a JSON object"),
        ("[1]", "line 1: expected a JSON object"),
        (json.dumps({"prompt": "x", "tests": []}), "line 1: field 'task_id' is missing"),
        (json.dumps(GOOD) + "\n" + json.dumps(GOOD), "line 2: field 'task_id': 'add' was used before, on line 1"),
    ):
        file.write_text(text)
        with pytest.raises(UsageError, match=words):
            load_problems(file)
    with pytest.raises(UsageError, match="cannot read the problem file"):
        load_problems(tmp_path / "none.jsonl")
