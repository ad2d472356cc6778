"""The command line as people know it: help, names that do not exist, settings of other commands."""

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from test_train import SMALL, run_main

import minirl
from minirl import COMMANDS, Config, UsageError, read_jsonl, train


def help_of(capsys, *command):
    with pytest.raises(SystemExit) as ended:
        minirl.main([*command, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def flags_in(text):
    return re.findall(r"^  (?:-h, )?(--[\w-]+)", text, re.MULTILINE)


def test_help_lists_the_commands_with_a_line_each(capsys):
    text = help_of(capsys)
    for name, (function, _) in COMMANDS.items():
        assert re.search(rf"^ +{name} +{re.escape(function.__doc__[:30])}", text, re.MULTILINE), text
    assert "--lr" not in text


@pytest.mark.parametrize("command", COMMANDS)
def test_a_commands_help_shows_only_the_settings_that_it_uses_once_and_in_groups(capsys, command):
    text = help_of(capsys, command)
    used = [x for x in fields(Config) if command in x.metadata["commands"]]
    shown = flags_in(text)
    assert len(shown) == len(set(shown)) and not any("_" in flag for flag in shown)
    expected = {f"--{x.name.replace('_', '-')}" for x in used}
    others = {f"--{x.name.replace('_', '-')}" for x in fields(Config)} - expected
    assert expected <= set(shown) and not others & set(shown) - {"--out"}, "--out of plot is its own"
    if command == "train":
        headings = re.findall(r"^([a-z]+):$", text, re.MULTILINE)
        groups = "model problems sampling algorithm optimiser evaluation run sandbox".split()
        assert headings[-len(groups) :] == groups and len(used) == len(fields(Config))


def test_a_command_that_there_is_not_names_those_that_there_are(capsys):
    code, _, err = run_main(capsys, "foo")
    assert code == 2 and all(name in err for name in COMMANDS)


def test_help_does_not_import_transformers():
    code = "import sys, minirl\ntry: minirl.main(['--help'])\nexcept SystemExit: print('transformers' in sys.modules)"
    pipes = {"capture_output": True, "text": True, "cwd": Path(minirl.__file__).parent}
    done = subprocess.run([sys.executable, "-c", code], **pipes)
    assert done.stdout.splitlines()[-1] == "False", done.stderr


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit):
        minirl.main(["--version"])
    assert capsys.readouterr().out == f"minirl {minirl.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["foo"], "invalid choice: 'foo'"),
        (["eval", "--lr", "3"], "minirl eval does not know --lr, a setting of minirl train (see minirl eval --help)"),
        (
            ["eval", "RUN", "--samples", "32"],
            "what was measured before takes no settings; now: minirl eval --model RUN",
        ),
        (["check", "FILE", "--steps", "3"], "minirl check does not know --steps 3, a setting of minirl train"),
        (
            ["inspect", "RUN", "--seed", "3"],
            "minirl inspect does not know --seed 3, a setting of minirl train and eval",
        ),
        (["plot", "RUN", "--lr", "3"], "minirl plot does not know --lr 3"),
        (["--group_size", "4"], "minirl train does not know --group_size 4 (see minirl train --help)"),
        (["--batch", "4"], "minirl train does not know --batch 4"),  # no abbreviations
    ],
)
def test_what_a_command_does_not_use_is_refused_in_a_sentence(capsys, monkeypatch, tmp_path, arguments, words):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    code, out, err = run_main(capsys, *arguments)
    assert code == 2 and words in err and out == "" and err.strip().count("\n") == 0 and "Traceback" not in err, err
    assert sorted(tmp_path.iterdir()) == before


def test_settings_of_wrong_types_are_sentences_in_python_too():
    for settings in ({"steps": "ten"}, {"levels": 3.5}, {"lr": "1e-3"}, {"drop_broken": "yes"}):
        (name,) = settings
        with pytest.raises(UsageError, match=f"{name} must be"):
            Config(**settings)


REWARD = "from helper import one\n\n\ndef mine(outcomes, mask):\n    return one * outcomes.float().mean(-1)\n"


@pytest.mark.parametrize("name", ["FOLDER/my_reward.py:mine", "my_reward.mine"])
def test_a_reward_of_ones_own_by_its_path(toy, capsys, monkeypatch, tmp_path, name):
    """... beside another file of the same name, and with a module that lies beside it."""
    (tmp_path / "my_reward.py").write_text(REWARD)
    (tmp_path / "helper.py").write_text("one = 1.0\n")
    monkeypatch.chdir(tmp_path if "FOLDER" not in name else "/")
    for module in ("helper", "my_reward"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    found = minirl.find_reward(name.replace("FOLDER", str(tmp_path)))
    outcomes = minirl.torch.tensor([[[True, False]]])
    assert found(outcomes, outcomes | True).tolist() == [[0.5]]
    for wrong, words in ((f"{tmp_path}/none.py:mine", "none.py"), (f"{tmp_path}/my_reward.py:other", "other")):
        with pytest.raises(UsageError, match=f"cannot find the reward .*{words}"):
            minirl.find_reward(wrong)
    monkeypatch.chdir(tmp_path)
    folder = train(Config(steps=1, **SMALL | {"reward": name.replace("FOLDER", str(tmp_path))}))
    assert folder.exists() and read_jsonl(folder / "metrics.jsonl")[1]["reward"] >= 0


def test_the_module_is_found_from_the_folder_that_holds_the_clone():
    """There, a folder of the name minirl must not be taken for the package."""
    root = Path(minirl.__file__).parent
    code = "import minirl; minirl.load_policy; print(minirl.__file__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root.parent)
    assert Path(done.stdout.strip()) == root / "minirl.py", done.stderr
