"""The README stays true: its map of the code, its commands, its flags and its tables."""

import json
import re
from pathlib import Path

import minirl
from minirl import COMMANDS, REWARDS, Config, load_problems

ROOT = Path(minirl.__file__).parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def map_of(name):
    """A table row for every section bar of a file: its lines, its title."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    starts = [(i, line) for i, line in enumerate(lines, 1) if re.match(r"# \d+\. ", line)]
    ends = [start - 2 for start, _ in starts[1:]] + [len(lines)]
    rows = []
    for (start, line), end in zip(starts, ends, strict=True):
        title = line.split(". ", 1)[1].split(". ")[0]
        rows.append(f"| [{start}-{end}]({name}#L{start}-L{end}) | {title} |")
    return rows


def test_the_map_of_the_code_is_true():
    for name in ("minirl.py", "sandbox.py"):
        rows = map_of(name)
        assert [row for row in rows if row not in README] == [], "the map should be:\n" + "\n".join(rows)


def test_commands_and_flags_of_the_readme_exist():
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", README, re.DOTALL))
    commands = re.findall(r"^minirl (\w+)", blocks, re.MULTILINE)
    assert commands and set(commands) <= set(COMMANDS)
    others = {"nproc-per-node", "rounds", "greedy", "quick"}  # torchrun's, a benchmark's, eval's, study's
    flags = set(re.findall(r"--([a-z][a-z-]+)", README)) - others
    aliases = {alias for f in Config.__dataclass_fields__.values() for alias in f.metadata["aliases"]}
    known = {name.replace("_", "-") for name in Config.__dataclass_fields__} | {alias[2:] for alias in aliases}
    assert flags - known - {"help"} == set()


def test_the_problem_file_of_the_readme_loads(tmp_path):
    example = re.search(r"```json\n(.*?)```", README, re.DOTALL)[1]
    (tmp_path / "p.jsonl").write_text(example)
    assert [len(p.tests) for p in load_problems(tmp_path / "p.jsonl")] == [2, 1]


def test_the_study_of_the_readme_is_one():
    example = re.search(r"```json\n(\{.grids.*?)```", README, re.DOTALL)[1]
    minirl.check_study(json.loads(example))


def test_the_reward_of_the_readme_is_a_reward():
    code = re.search(r"```python\n(def squared.*?)```", README, re.DOTALL)[1]
    namespace = {"pass_rate": REWARDS["pass_rate"]}
    exec(code, namespace)
    outcomes = minirl.torch.tensor([[[True, False], [True, True]]])
    assert namespace["squared"](outcomes, outcomes | True).tolist() == [[0.25, 1.0]]


def test_links_to_files_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)", README):
        assert (ROOT / target).exists(), target


def test_the_results_table_is_that_of_the_committed_results():
    results = json.loads((ROOT / "tutorials" / "results" / "first_result.json").read_text())
    for row in results:
        cells = [f"{row['before']['pass@1']:.2f}"]
        cells += [f"{row['after'][name]:.2f}" for name in ("pass@1", "pass@8", "pass_rate")]
        line = f"| {row['algorithm']} | {row['reward']} | {row['seed']} | " + " | ".join(cells) + " |"
        assert line in README, line


def test_the_claims_are_those_of_the_committed_measurements(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    import claims

    for line in claims.readme_table().splitlines():
        assert line in README, line


def test_the_gradients_of_the_real_model_are_those_that_were_measured(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    import claims

    rows = [json.loads(claims.MODEL_FILE.read_text())]
    groups = rows[0]["gradients"]
    pairs = [claims.mean_of([[group["pairs"][kind] for group in groups]]) for kind in ("partial-partial", "any-any")]
    reports = [claims.of_reports(rows, "grpo", "pass_rate", name) for name in ("cancellation", "orthogonal")]
    alignment = claims.of_reports(rows, "grpo", "pass_rate", "alignment", False)
    paragraph = README[README.index("**On a pretrained model.**") : README.index("**Where the toy may not")]
    assert [cell for cell in (*pairs, *reports, alignment) if cell not in paragraph] == []
    gains = [report["gain"] for group in groups for report in group["reports"]["grpo"].values()]
    assert f"{min(gains):.1f} to {max(gains):+.1f} nats" in paragraph
    assert len(groups) == 16 and sum(group["has_full_pass"] for group in groups) == 4


def test_the_committed_study_is_minirls_own_and_whole():
    folder = ROOT / "tutorials" / "results" / "study"
    results = minirl.read_results(folder / "results.json")
    assert results["study"] == minirl.STUDY
    conditions = minirl.conditions_of(minirl.STUDY)
    runs = [{name: value for name, value in row["run"].items() if name != "lr"} for row in results["runs"]]
    expected = [condition | {"seed": seed} for condition in conditions for seed in range(5)]
    assert len(runs) == len(expected) and all(run in runs for run in expected)
    assert minirl.study_table(results, minirl.study_summary(results)) + "\n" == (folder / "table.md").read_text()


def test_the_table_of_the_real_model_is_that_of_the_committed_run():
    saved = json.loads((ROOT / "tutorials" / "results" / "smollm2_toy.json").read_text())
    assert len(saved["evaluations"]) == 7 and len(saved["training"]) == 90
    for row in saved["evaluations"]:
        names = ("pass@1", "pass@8", "pass_rate")
        cells = ["{:.3f} [{:.2f}, {:.2f}]".format(*(row[f"eval/{n}{e}"] for e in ("", "_low", "_high"))) for n in names]
        assert f"| {row['step']} | {' | '.join(cells)} |" in README


def test_the_numbers_on_mbpp_are_those_of_the_committed_outcomes():
    saved = minirl.read_jsonl(ROOT / "tutorials" / "results" / "smollm2_mbpp.jsonl")
    assert len(saved) == 100
    for name, cell in minirl.summary_cells(minirl.summarize(saved)):
        assert f"{name.replace('_', ' ')} {cell}" in README, (name, cell)
