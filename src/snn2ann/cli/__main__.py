"""`python -m snn2ann.cli`."""

from snn2ann.cli import main

main()
