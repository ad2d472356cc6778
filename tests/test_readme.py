"""The pages stay true: the README's size and its map of the code; every page's commands, flags, links and numbers."""

import contextlib
import functools
import io
import json
import re
import shlex
import textwrap
from pathlib import Path

import claims
import numpy as np
import pytest
import study
from attack_harness import ATTACKS
from rewards import OTHER_REWARDS

import minirl
import sandbox
from minirl import COMMANDS, REWARDS, load_problems

ROOT = Path(minirl.__file__).parent
FRONT, CLAIMS, MODELS = "README.md", "tutorials/results/README.md", "tutorials/real_models.md"
SPEED, ATTACKED, COURSE = "tests/benchmarks/README.md", "tests/attacks/README.md", "tutorials/README.md"
PAGES = [FRONT, CLAIMS, MODELS, SPEED, ATTACKED, COURSE, "tutorials/teaching.md"]
RESULTS = ROOT / "tutorials" / "results"
MEASURES = ("pass@1", "pass@8", "pass_rate")


def read(page: str | Path) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def in_one_line(text: str) -> str:
    """Without line breaks, so that a sentence is found wherever it is wrapped."""
    return " ".join(text.split())


# ----------------------------------------------------------------------------------------------------------------------
# The front door


def test_the_readme_is_short():
    assert len(read(FRONT).splitlines()) <= 150
    assert len(read(FRONT).encode()) <= 10_000


def map_of(name: str) -> list[list[str]]:
    """A link for every section bar of a file, to its line: a list for each part of the file."""
    parts: list[list[str]] = [[]]
    for number, line in enumerate(read(name).splitlines(), 1):
        if re.match(r"# Part [IVX]+: ", line):
            parts.append([])
        elif match := re.match(r"# \d+\. ([^:.,(]+)", line):
            parts[-1].append(f"[{match[1].strip()}]({name}#L{number})")
    return [links for links in parts if links]


def test_the_map_of_the_code_is_true():
    lesson, workshop = map_of("minirl.py")
    rows = [" → ".join(lesson), " · ".join(workshop), " · ".join(*map_of("sandbox.py"))]
    beginnings = [
        "* [minirl.py](minirl.py), Part I, the lesson: ",
        "* Part II, the workshop: ",
        "* [sandbox.py](sandbox.py): ",
    ]
    paragraphs = [f"{beginning}{row}." for beginning, row in zip(beginnings, rows, strict=True)]
    wrapped = [textwrap.fill(text, 120, subsequent_indent="  ", break_on_hyphens=False) for text in paragraphs]
    right = "\n".join(wrapped)
    assert all(text in in_one_line(read(FRONT)) for text in paragraphs), f"the map should be:\n{right}"


def test_one_line_of_the_readme_installs_and_tests():
    """Continuous integration takes it from there."""
    lines = [line for line in read(FRONT).splitlines() if "'.[test]'" in line]
    assert lines == [
        "python3 -m venv .venv && . .venv/bin/activate && pip install -e '.[test]' && pytest",
    ]


def test_the_problem_files_of_the_pages_load(tmp_path):
    for page, tests in ((FRONT, [1]), (MODELS, [2, 1])):
        example = re.search(r"```json\n(.*?)```", read(page), re.DOTALL)[1]
        (tmp_path / "p.jsonl").write_text(example)
        assert [len(problem.tests) for problem in load_problems(tmp_path / "p.jsonl")] == tests


def test_the_reward_of_the_readme_is_a_reward(tmp_path):
    code = re.search(r"```python\n(def squared.*?)```", read(FRONT), re.DOTALL)[1]
    (tmp_path / "my_file.py").write_text(code)
    squared = minirl.find_reward(f"{tmp_path / 'my_file.py'}:squared")
    outcomes = minirl.torch.tensor([[[True, False], [True, True]]])
    assert squared(outcomes, outcomes | True).tolist() == [[0.25, 1.0]]


def test_the_readme_names_minirls_rewards_and_the_page_of_claims_all_ten():
    own = [name for name in REWARDS if name not in OTHER_REWARDS]  # study.py enters the others, too
    assert [name for name in own if f"`{name}`" not in read(FRONT)] == []
    rows = re.findall(r"^\| (\w+) \| ", read(CLAIMS).split("## The rewards")[1].split("\n## ")[0], re.MULTILINE)
    assert rows == ["reward", *own, *OTHER_REWARDS]


def test_the_paper_is_cited_with_its_authors():
    authors = ("Li, Xin-Ye", "Liu, Ren-Biao", "Zhang, Yun-Ji", "Sun, Hui", "Xie, Zheng", "Li, Ming")
    assert " and ".join(authors) in read(FRONT)
    names = re.findall(r"family-names: (\S+)\n\s+given-names: (\S+)", read("CITATION.cff"))
    assert names == [tuple(author.split(", ")) for author in authors]


# ----------------------------------------------------------------------------------------------------------------------
# Every page: its commands and its links


def commands_of(page: str) -> list[list[str]]:
    """The command lines of a page, in words: those of its bash blocks, and those between backticks."""
    text = read(page)
    lines = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL)).splitlines()
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines += [in_one_line(span) for span in re.findall(r"`([^`]+)`", prose)]
    starts = ("minirl", "pytest", "python", "python3", "torchrun")
    parts = [part.split(" #")[0] for line in lines for part in line.split("&&")]
    return [words for part in parts if part.split() and part.split()[0] in starts for words in [shlex.split(part)]]


def flags_in(words: list[str]) -> set[str]:
    return {word.split("=")[0] for word in words if re.match(r"--[a-z]", word)}


@functools.cache
def flags_of_minirl(command: str) -> set[str]:
    """Those that its help explains."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        minirl.main([command, "--help"])
    explained = re.findall(r"^ +(-.*)", out.getvalue(), re.MULTILINE)
    return {word.rstrip(",") for line in explained for word in line.split()} | {"--help"}


def flags_of_script(file: str | Path) -> set[str]:
    return set(re.findall(r"[\"'](--[a-z-]+)[\"']", read(file))) | {"--help"}


TORCHRUN = {"--nproc-per-node"}


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_their_flags_exist(page):
    folders = [ROOT, (ROOT / page).parent]  # where a reader of the page may be
    for words in commands_of(page):
        program, rest = words[0], words[1:]
        if program != "minirl":
            place = next((i for i, word in enumerate(rest) if word.endswith(".py")), None)
            if place is None:  # python -m venv .venv
                continue
            script, before, rest = rest[place], rest[:place], rest[place + 1 :]
            found = [folder / script for folder in folders if (folder / script).is_file()]
            assert found, words
            assert flags_in(before) <= TORCHRUN, words
            if script != "minirl.py":
                assert flags_in(rest) <= flags_of_script(found[0]), words
                continue
        command = rest[0] if rest and not rest[0].startswith("-") else "train"
        assert command in COMMANDS, words
        assert flags_in(rest) <= flags_of_minirl(command), words


def test_flags_that_stand_alone_exist():
    scripts = [*ROOT.glob("tests/benchmarks/*.py"), *ROOT.glob("tutorials/*.py")]
    known = TORCHRUN.union(*map(flags_of_minirl, COMMANDS), *map(flags_of_script, scripts))
    for page in PAGES:
        assert set(re.findall(r"--[a-z][a-z-]+", re.sub(r"\]\(.*?\)", "", read(page)))) <= known, page


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\((?!http)([^)#\s]*)#?([^)]*)\)", read(page)):
        file = (ROOT / page).parent / target if target else ROOT / page
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            assert anchor in anchors_of(file), f"{target}#{anchor}"


# ----------------------------------------------------------------------------------------------------------------------
# Numbers: the claims


STUDIES = {
    claims.STUDY_FILE: study.STUDY,
    claims.REMEDIES_FILE: study.REMEDIES,
    claims.PRETRAINED_FILE: study.PRETRAINED,
}


@functools.cache
def committed(file: Path):
    """The results of a committed study, and their summary, which takes seconds."""
    results = study.read_results(file)
    return results, study.study_summary(results)


@functools.cache
def tables() -> list[str]:
    """Of the base models before training, one a claim; of the study; of the pretrained model, before and in training;
    and of the remedies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "study_summary", lambda read: next(s for r, s in map(committed, STUDIES) if r == read))
        bases = claims.bases_of_strength()
        made = [claims.in_markdown(list(study.STRENGTHS), rows) for rows in claims.tables(bases)]
        made += [claims.table_of_pairs(bases["middling"])]
        made += [claims.table_of_study(), claims.table_of_model(), claims.table_of_pretrained()]
        return made + claims.tables_of_remedies()


def test_the_claims_are_those_of_the_committed_measurements():
    assert [table for table in tables() if table not in read(CLAIMS)] == []


INTERVAL = re.compile(r"([+-]?\d\.\d+) \[([+-]?\d\.\d+), ([+-]?\d\.\d+)\]")


def test_every_interval_in_the_words_of_the_page_of_claims_is_one_of_its_tables():
    page, measured = read(CLAIMS), []
    words = page[: page.index("## Where the toy may not carry over")]
    for table in tables():
        measured += INTERVAL.findall(table)
        words = words.replace(table, "")
    said = INTERVAL.findall(in_one_line(words))
    assert len(said) > 30
    for interval in said:
        said_so, near = np.array(interval, float), 0.51 * 10.0 ** -len(interval[0].split(".")[1])  # 0.125: 0.12 or 0.13
        assert (np.abs(np.array(measured, float) - said_so) < near).all(1).any(), interval


def test_the_words_about_the_study_count_its_intervals():
    lines = [line for table in tables() for line in table.splitlines()]
    section = read(CLAIMS)
    section = in_one_line(section[section.index("### Final results") :])
    for label, below, words in (
        ("| (ii) final pass@1, pass_rate", 7, "none is above 0 with an interval that excludes it, and seven are below"),
        ("| final pass@8, pass_rate", 8, "with an interval that excludes 0 in 8 of the 16"),
        ("| (vi) area under the pass@1 curve, pass_rate", 12, "with an interval that excludes 0 in 12 of the 16"),
    ):
        (first,) = (i for i, line in enumerate(lines) if line.startswith(label))
        cells = [tuple(map(float, cell)) for line in lines[first : first + 4] for cell in INTERVAL.findall(line)]
        assert len(cells) == 16 and not any(low > 0 for _, low, _ in cells), label
        assert sum(high < 0 for _, _, high in cells) == below and words in section, label
    final = [line for line in lines if line.startswith("| (vii) final pass@1, ")]
    first = lines.index(final[0])
    assert not any(float(low) > 0 for line in lines[first : first + 12] for _, low, _ in INTERVAL.findall(line))


def test_the_readmes_claims_are_those_of_the_page_of_claims():
    of_toy = tables()[:-4]  # without those of the pretrained model and of the remedies
    rows = [line.strip("| ").split(" | ") for table in of_toy for line in table.splitlines()]
    labels = [row[0] for row in rows]

    def cells(label: str, below: int = 0) -> list[str]:
        (place,) = (i for i, other in enumerate(labels) if other.startswith(label))
        return rows[place + below][1:]

    def weak(label: str, below: int = 0) -> str:
        return cells(label, below)[2].split(" [")[0]

    text = in_one_line(read(FRONT))
    section = text[text.index("## The paper's claims") : text.index("## The tutorials")]
    signal = "groups of 8 with a signal"
    assert f"{weak(signal, 1)} of the groups of 8 samples have a signal, under binary {weak(signal)}" in section
    final = [cell for below in (0, 2) for cell in cells("(ii) final pass@1", below)]  # each reward at its own rate
    counts = sum(cell.startswith("-") for cell in final), len(final), sum("+" not in cell for cell in final)
    assert not any("-" not in cell for cell in final), "nowhere higher with an interval that excludes 0"
    assert "lower in {} of {}, with an interval that excludes 0 in {}".format(*counts) in section
    gains = "... share of groups that gain"
    assert f"makes one likelier in {weak(gains)} of them, shuffled advantages in {weak(gains, 1)}" in section
    completed = weak("completed to a full pass", 3), weak("completed to a full pass", 5)
    assert "ends in a full pass {} of the times, a new sample {}".format(*completed) in section
    below, of_others = (weak("share of pairs of pushes with a cosine below -0.1: partial-partial", n) for n in (0, 1))
    kept = (
        weak("share of all pushes that is kept: pass_rate, no"),
        weak("share of all pushes that is kept: pass_rate, no", 1),
    )
    assert "{} of all pushes is kept, averaging would keep {}".format(*kept) in section
    assert f"{below} of the pairs of their pushes have a cosine below -0.1, and {of_others} of all other" in section


def test_the_words_about_the_real_model_are_those_of_its_table():
    row = json.loads(claims.MODEL_FILE.read_text())
    assert row["outcomes"] == [
        ["".join(map(str, sample)) for sample in of_problem["outcomes"]]
        for of_problem in minirl.read_jsonl(RESULTS / "smollm2_mbpp.jsonl")
    ]
    page = read(CLAIMS)
    section = in_one_line(page[page.index("## On a pretrained model") : page.index("## Where the toy may not")])
    live, full = len(row["gradients"]), sum(group["has_full_pass"] for group in row["gradients"])
    assert f"the {live} problems whose samples" in section and f"({full} of these have a full pass)" in section
    partial = sum(prefix["pass_rate"] > 0 for prefix in row["prefixes"])
    words = "those of {} wrong samples of these problems, {} of which pass some tests"
    assert words.format(len(row["prefixes"]), partial) in section
    pairs = [x["pushes"]["partial-partial"]["pairs"] for x in row["gradients"] if "partial-partial" in x["pushes"]]
    assert f"({sum(pairs)} pairs, on {len(pairs)} problems)" in section
    table = [line.strip("| ").split(" | ") for line in claims.table_of_model().splitlines()[2:]]
    labels, means = [label for label, _ in table], [cell.split(" [")[0] for _, cell in table]
    place = labels.index("share of pairs of pushes with a cosine below -0.1: partial-partial")
    assert "{} of the pairs of pushes and {}".format(*means[place : place + 2]) in section
    assert "(on SmolLM2 {} and {})".format(*means[place : place + 2]) in in_one_line(read(FRONT))
    place = labels.index("share of pairs of pushes with a cosine above +0.1: partial-full")
    assert "more often than other pairs, {} and {}.".format(*means[place : place + 2]) in section


def test_the_words_about_the_real_models_training_are_those_of_its_runs():
    results, (binary, pass_rate) = committed(claims.PRETRAINED_FILE)
    difference = pass_rate["difference"]
    assert difference["above"] == 0
    rates = [{seed: run["pass_rate"].mean() for seed, run in line["of_seed"].items()} for line in (binary, pass_rate)]
    assert all(rates[1][seed] > rate for seed, rate in rates[0].items())
    assert f"(SmolLM2's pass@1: {study.in_brackets(difference['pass@1'], '+', 2)}.)" in in_one_line(read(FRONT))
    section = in_one_line(read(CLAIMS).partition("### SmolLM2 in training")[2].partition("## Where the toy may not")[0])
    held_out = [line for line in claims.table_of_pretrained().splitlines() if line.startswith("| held-out")]
    intervals = [interval for line in held_out for interval in INTERVAL.findall(line)[2:]]  # by seed, and by problem
    assert len(intervals) == 6 and all(float(low) < 0 < float(high) for _, low, high in intervals)
    assert "**Nothing held out differs**" in section
    commonest = max(row["programs"][0][1] for row in results["runs"])
    assert f"is {commonest} of {27 * 8} samples at most" in section and len(results["runs"][0]["tests"]) == 27
    rises = binary["rise"]["mean"], pass_rate["rise"]["mean"]
    assert "by {:.2f} a quarter, the pass rate's by {:.2f}".format(*rises) in section


def test_the_study_of_the_page_of_claims_is_one():
    example = re.search(r"```json\n(\{.grids.*?)```", read(CLAIMS), re.DOTALL)[1]
    study.check_study(json.loads(example))


def test_what_to_try_first_is_what_the_remedies_show():
    page = read(CLAIMS)
    section = in_one_line(page[page.index("## What helps when") : page.index("## On a pretrained model")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "study_summary", lambda read: committed(claims.REMEDIES_FILE)[1])
        bases = claims.remedies_of_bases()
    for name, (binary, *lines) in bases.items():
        of_words = {line["words"]: line for line in [binary, *lines]}
        for line in lines:
            as_many = "twice" not in line["words"]
            assert not as_many or max(line["difference"][x]["low"] for x in ("pass@1", "pass@8")) <= 0, line["words"]
            dense, easy = ("pass_rate", "gated"), ("level 1 first", "only problems", "such problems first")
            assert not line["words"].startswith(dense + easy) or line["difference"]["pass@1"]["mean"] < 0, line["words"]
        means = {words: of_words[words]["pass@1"]["mean"] for words in of_words if "twice" not in words}
        assert (max(means, key=means.get) == "3 problems × 32 samples") == (name == "starved")
        for words in ("3 problems × 32 samples", "half of the learning rate", "binary, twice the steps (and programs)"):
            assert study.in_brackets(of_words[words]["difference"]["pass@1"], "+", 2) in section, (name, words)


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.parent.name)
def test_the_committed_studies_are_minirls_own_and_whole(file):
    results, summary = committed(file)
    assert results["study"] == STUDIES[file]
    assert all(row["run"] in study.all_tuning_runs(STUDIES[file], results["tuning"]) for row in results["tuning"])
    expected = study.tuned_runs(results["study"], results, study.seeded_runs(results["study"]))
    assert not study.missing(results["runs"], expected) and len(results["runs"]) == len(expected)
    assert f"of [{len(expected)} runs](#" in in_one_line(read(CLAIMS))
    assert study.study_table(results, summary) + "\n" == file.with_name("table.md").read_text()


def test_the_first_result_is_that_of_the_committed_runs():
    page = read(CLAIMS)
    for row in json.loads((RESULTS / "first_result.json").read_text()):
        cells = [f"{row['before']['pass@1']:.2f}"]
        cells += [f"{row['after'][name]:.2f}" for name in MEASURES]
        line = f"| {row['algorithm']} | {row['reward']} | {row['seed']} | " + " | ".join(cells) + " |"
        assert line in page, line


# ----------------------------------------------------------------------------------------------------------------------
# Numbers: real models, and the sandbox


def with_interval(summary: dict[str, float], name: str) -> str:
    return "{:.3f} [{:.2f}, {:.2f}]".format(*(summary[name + end] for end in ("", "_low", "_high")))


def test_the_table_of_the_real_model_is_that_of_the_committed_run():
    saved = json.loads((RESULTS / "smollm2_toy.json").read_text())
    assert len(saved["evaluations"]) == 7 and len(saved["training"]) == 90
    page = read(MODELS)
    for row in saved["evaluations"]:
        cells = [with_interval(row, f"eval/{name}") for name in MEASURES]
        assert f"| {row['step']} | {' | '.join(cells)} |" in page
    before, after = (saved["evaluations"][i]["eval/pass@1"] for i in (0, -1))
    assert f"from {before:.3f} to {after:.3f}" in in_one_line(read(FRONT))


def test_the_numbers_on_mbpp_are_those_of_the_committed_outcomes():
    saved = minirl.read_jsonl(RESULTS / "smollm2_mbpp.jsonl")
    assert len(saved) == 100
    summary = minirl.summarize(saved)
    for name in MEASURES:
        assert f"{name.replace('_', ' ')} {with_interval(summary, name)}" in in_one_line(read(MODELS)), name


def test_the_page_of_attacks_counts_them_and_names_every_layer():
    page = read(ATTACKED)
    assert f"{len(ATTACKS)} hostile programs" in page
    assert re.findall(r"^\| (\w+) \| ", page, re.MULTILINE) == ["layer", *sandbox.LAYERS]
