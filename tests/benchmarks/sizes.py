"""How large the house is: lines of its parts, and the longest function of each file.

python tests/benchmarks/sizes.py
"""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]


def part_1_ends(source: str) -> int:
    """The line of the bar that opens Part II, less one."""
    lines = source.splitlines()
    return next(i for i, line in enumerate(lines) if line.startswith("# Part II")) - 1


def longest_function(source: str, first: int = 1, last: int = 10**9) -> tuple[int, str]:
    """Of those that begin in these lines: how many lines it has, its decorators included, and its name."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    starts = [(min([f.lineno, *(d.lineno for d in f.decorator_list)]), f) for f in functions]
    return max((f.end_lineno - start + 1, f.name) for start, f in starts if first <= start <= last)


def sizes() -> dict[str, tuple[int, tuple[int, str] | None]]:
    """For each part of the house: its lines, and its longest function."""
    minirl, sandbox = (ROOT.joinpath(name).read_text(encoding="utf-8") for name in ("minirl.py", "sandbox.py"))
    end, total = part_1_ends(minirl), len(minirl.splitlines())
    return {
        "minirl.py, Part I": (end, longest_function(minirl, 1, end)),
        "minirl.py, Part II": (total - end, longest_function(minirl, end + 1)),
        "minirl.py": (total, longest_function(minirl)),
        "sandbox.py": (len(sandbox.splitlines()), longest_function(sandbox)),
        "README.md": (len(ROOT.joinpath("README.md").read_text(encoding="utf-8").splitlines()), None),
    }


if __name__ == "__main__":
    for name, (lines, longest) in sizes().items():
        words = f"   longest function: {longest[1]}, {longest[0]} lines" if longest else ""
        print(f"{name:20} {lines:5} lines{words}")
    print(f"{'README.md':20} {(ROOT / 'README.md').stat().st_size:5} bytes")
