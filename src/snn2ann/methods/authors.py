"""The paper's method with weights that its authors have trained."""

from collections.abc import Iterable

from torch import Tensor

from snn2ann.errors import UserError
from snn2ann.methods.snn2ann import Snn2Ann


class AuthorsNetwork(Snn2Ann):
    """A network that is run as the paper's method runs it, and not trained."""

    trains = False

    def convert(self, batches: Iterable[Tensor]) -> None:
        """Refuse: there is nothing to make the weights of.

        Raises:
            UserError: always.
        """
        raise UserError(
            "method authors: its weights are those of a file; `snn2ann import-checkpoint FILE` makes the run, with this "
            "entry's data set, network, mapping unit, time steps and recipe (docs/authors.md)"
        )
