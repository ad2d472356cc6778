"""The checks of the notebooks' exercises: check("00.1", answer_1) says whether an answer is right, and if not, why.

An answer may be off by 1 %, or by rounding to two decimals. Solutions are in solutions.py; show("00.1") prints one.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import solutions
import torch

from minirl import binary, gated


class Wrong(Exception):
    """What is wrong with an answer, in a sentence."""


@dataclass(frozen=True)
class Exercise:
    """solution returns the right answer, from what the check is given. Or, where a function is asked for, it is that
    function, and `cases` makes arguments to try it with of what the check is given."""

    solution: Callable[..., Any]
    cases: Callable[..., list[tuple[Any, ...]]] | None = None
    tolerance: float = 0.01


def groups(*of_samples: str) -> tuple[torch.Tensor, torch.Tensor]:
    """groups("110 100", "111 000"): outcomes and mask [P, G, T] of two problems, two samples each."""
    outcomes = torch.tensor([[[mark == "1" for mark in sample] for sample in group.split()] for group in of_samples])
    return outcomes, torch.ones_like(outcomes)


EXERCISES = {
    "00.1": Exercise(solutions.rloo_by_hand),
    "00.2": Exercise(solutions.best_baseline, lambda rewards, g: [(rewards, g), (1 - rewards, g)]),
    "00.3": Exercise(solutions.cosines_of_group_sizes, tolerance=0.05),  # of random draws
    "01.1": Exercise(solutions.live_at_two_percent),
    "01.2": Exercise(solutions.sizes_for_half_alive, tolerance=0.0),
    "01.3": Exercise(
        solutions.live_share_of,
        lambda outcomes, mask: (
            [(reward, outcomes, mask, n) for reward in (binary, gated) for n in (3, 8, 64)]
            + [(binary, *groups("11 11 00 00", "00 00 11 11"), 2)]
        ),
    ),
    "02.1": Exercise(solutions.advantage_of_the_honest),
    "02.2": Exercise(solutions.wrong_that_pass_the_first_test),
    "02.3": Exercise(solutions.weighted_rate, lambda outcomes, mask: [(outcomes, mask), groups("111 110 100")]),
    "03.1": Exercise(solutions.kept_of_three),
    "03.2": Exercise(solutions.kept_of_group),
    "03.3": Exercise(solutions.cosines_of_the_positive),
    "04.1": Exercise(solutions.pairs_that_it_takes, tolerance=0.0),
    "04.2": Exercise(
        solutions.best_of_group,
        lambda: [
            groups("1110 1100 1000 0000"),
            groups("1111 1110"),
            groups("1100 0011 0000"),
            groups("00 00", "10 11"),
            (groups("100 001")[0], groups("110 110")[0]),  # what stands at a test that does not exist means nothing
        ],
    ),
    "04.3": Exercise(solutions.intervals_of_comparisons),
    "05.1": Exercise(solutions.gigabytes_to_train),
    "05.2": Exercise(solutions.pass_rate_of_step),
}


def check(name: str, answer: Any, *given: Any) -> None:
    """Say whether an answer to an exercise is right. given: what its solution is computed from."""
    exercise = EXERCISES[name]
    try:
        if exercise.cases is None:
            compare(answer, exercise.solution(*given), exercise.tolerance)
        for case in exercise.cases(*given) if exercise.cases else []:
            compare(result_of(answer, case), exercise.solution(*case), exercise.tolerance)
        print("Right!")
    except Wrong as why:
        print(why)


def result_of(answer: Callable[..., Any], case: tuple[Any, ...]) -> Any:
    if not callable(answer):
        raise Wrong(f"Not yet: a function is expected, not {repr(answer)[:60]}")
    try:
        return answer(*(x.clone() if isinstance(x, torch.Tensor) else x for x in case))
    except Exception as error:
        raise Wrong(f"Not yet: your function stopped with {type(error).__name__}: {error}") from None


def compare(answer: Any, right: Any, tolerance: float) -> None:
    """Raise Wrong for what is no number or list of numbers of the right length, and for numbers that are off by more
    than the tolerance, as a share of the right one; 0.005 is no error, where there is a tolerance."""
    if answer is ...:
        raise Wrong("No answer yet.")
    if answer is None:
        raise Wrong("Not yet: the answer is None. Is there a return?")
    expected = torch.as_tensor(right, dtype=torch.float64)
    try:
        found = torch.as_tensor(answer, dtype=torch.float64).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(f"Not yet: numbers are expected, not {repr(answer)[:60]}") from None
    if found.squeeze().shape == expected.squeeze().shape:
        found = found.reshape(expected.shape)
    if found.shape != expected.shape:
        raise Wrong(f"Not yet: expected is {in_words(expected)}, and this is {in_words(found)}")
    margin = (tolerance * expected.abs()).clamp(min=0.005 if tolerance else 0.0)
    near = (found - expected).abs() <= margin
    if not near.all():
        if tolerance and ((found / 100 - expected).abs() <= margin).all():
            raise Wrong("Not yet: that is per cent. A share goes from 0 to 1.")
        which = "" if near.numel() == 1 else f" at {int((~near).sum())} of {near.numel()} places"
        raise Wrong(f"Not yet: not the right number{which}. Try again, or open the hint.")


def in_words(numbers: torch.Tensor) -> str:
    if numbers.dim() == 0:
        return "one number"
    if numbers.dim() == 1:
        return f"a list of {len(numbers)} number{'s' * (len(numbers) != 1)}"
    return f"a tensor of the shape {list(numbers.shape)}"


def show(name: str) -> None:
    """Print the solution of an exercise."""
    print(inspect.getsource(EXERCISES[name].solution))
