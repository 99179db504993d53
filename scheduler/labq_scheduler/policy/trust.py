"""How far a predicted run time is to be believed, learnt from how earlier predictions turned out. Pure.

Where a person's next run is like their last ones, a prediction says much about it; where run times look drawn at random, it
says nothing, and ordering by it only makes people wait. So what is expected lies between what is predicted and what runs
last on average: the least squares line of the logarithm of run times on that of their predictions (Galton's regression
toward the mean). Its slope is the belief: 1 = predictions are right on average, 0 = they say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

#: What a run counts, of what the next later one does: about the last thousand say how good predictions are.
FADES = 0.999
#: Runs, as they count, below which predictions are believed as they are.
ENOUGH = 20.0
#: Seconds below which run times do not differ: start and end take as long.
LEAST = 10.0


@dataclass(slots=True)
class Trust:
    """Sums over earlier runs, each of which fades."""

    count: float = 0.0
    predicted: float = 0.0
    ran: float = 0.0
    squares: float = 0.0
    products: float = 0.0

    def add(self, predicted: float, ran: float) -> None:
        """Note how long a job ran for which so many seconds had been predicted."""
        x, y = log(max(LEAST, predicted)), log(max(LEAST, ran))
        self.count = FADES * self.count + 1.0
        self.predicted = FADES * self.predicted + x
        self.ran = FADES * self.ran + y
        self.squares = FADES * self.squares + x * x
        self.products = FADES * self.products + x * y

    @property
    def belief(self) -> float:
        """Return the slope, 0 to 1; 1 while little is known."""
        if self.count < ENOUGH:
            return 1.0
        mean, of_runs = self.predicted / self.count, self.ran / self.count
        spread = self.squares / self.count - mean * mean
        if spread < 1e-6:  # all predictions were alike: nothing is known of others
            return 1.0
        return min(1.0, max(0.0, (self.products / self.count - mean * of_runs) / spread))

    def expected(self, predicted: float) -> float:
        """Return how long to expect a job to run for which so many seconds are predicted. Seconds."""
        if self.count < ENOUGH:
            return predicted
        mean, of_runs = self.predicted / self.count, self.ran / self.count
        return exp(of_runs + self.belief * (log(max(LEAST, predicted)) - mean))
