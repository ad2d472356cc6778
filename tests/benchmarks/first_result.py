"""The first result of tutorials/results: both rewards with three seeds, and the other algorithms with one.

    python tests/benchmarks/first_result.py RUNS_FOLDER     a minute a run on two cores; runs that exist are kept

Writes tutorials/results/first_result.json and prints the table's rows.
"""

import json
import sys
from pathlib import Path

import minirl

RUNS = [("grpo", reward, seed) for reward in ("binary", "pass_rate") for seed in (0, 1, 2)]
RUNS += [(algorithm, "binary", 0) for algorithm in ("rloo", "dr_grpo", "reinforce")]


def main(folder: Path) -> None:
    results = []
    for algorithm, reward, seed in RUNS:
        out = folder / f"{algorithm}-{reward}-{seed}"
        if not (out / "config.json").exists():
            code = minirl.main(["--algorithm", algorithm, "--reward", reward, "--seed", str(seed), "--out", str(out)])
        else:
            code = minirl.main(["--resume", str(out)])
        if code:
            sys.exit(code)
        rows = minirl.read_jsonl(out / "metrics.jsonl")
        result = {"algorithm": algorithm, "reward": reward, "seed": seed}
        for when, row in (("before", rows[0]), ("after", rows[-1])):
            result[when] = {k.removeprefix("eval/"): round(v, 4) for k, v in row.items() if k.startswith("eval/")}
        results.append(result)
    file = Path(__file__).parents[2] / "tutorials" / "results" / "first_result.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(results, indent=1) + "\n")
    for result in results:
        after = result["after"]
        cells = [f"{result['before']['pass@1']:.2f}"]
        cells += [f"{after[name]:.2f}" for name in ("pass@1", "pass@8", "pass_rate")]
        print(f"| {result['algorithm']} | {result['reward']} | {result['seed']} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
