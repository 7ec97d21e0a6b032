"""How many concepts: a point of the stability-error curve.

For each number tried, a bank is fitted and refitted on resampled groups. Two things are seen of it: the *stability*,
the mean cosine of its concepts with their matches in the refits, and the *predicted error* of the refits on leaves that
they had not drawn, each half of the channels rebuilt from the other. Beyond what there is to be found, more concepts
rebuild noise, which predicts nothing; beyond what the leaves can tell apart, other leaves give other concepts.

The rule:

1. From the most stable number upwards, every number counts as stable until the first whose stability is under 0.85. (A
   concept that is found in every refit reaches 0.95 or more and one that is not about 0.5, so at least three in four
   are found. What comes after a number that is not stable has passed by chance.)
2. Of the stable numbers the smallest is taken whose predicted error exceeds the least among them by no more than one
   standard error over leaves: what further concepts add is less than what other leaves would change.

References: Breiman et al., "Classification and regression trees" (1984), for the rule of one standard error; Owen and
Perry, "Bi-cross-validation of the SVD and the nonnegative matrix factorization" (2009); Alexandrov et al.,
"Deciphering signatures of mutational processes operative in human cancer" (2013), and Wu et al., "Stability-driven
nonnegative matrix factorization" (2016), for stability against error as a choice of rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

STABLE = 0.85


@dataclass(frozen=True)
class Candidate:
    """A number of concepts that was tried.

    Attributes
    ----------
    n_concepts
        The number.
    stability
        Mean matched cosine over concepts and refits, in [0, 1].
    predicted_error
        Of the refits, on leaves they had not drawn.
    standard_error
        Of the predicted error, over leaves.
    """

    n_concepts: int
    stability: float
    predicted_error: float
    standard_error: float


def choose_n_concepts(candidates: Sequence[Candidate]) -> int:
    """Return the number of concepts that the rule above takes.

    Parameters
    ----------
    candidates
        At least one.
    """
    rising = sorted(candidates, key=lambda each: each.n_concepts)
    first = max(range(len(rising)), key=lambda index: (rising[index].stability, -index))
    above = rising[first + 1 :]
    stable = [rising[first], *takewhile(lambda each: each.stability >= STABLE, above)]
    best = min(stable, key=lambda each: each.predicted_error)
    bound = best.predicted_error + best.standard_error
    return min(each.n_concepts for each in stable if each.predicted_error <= bound)
