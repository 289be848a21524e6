"""Faults injected into real servers and real worker and beat processes, while a night's run goes on.

`python -m tests.chaos` is what `make chaos` runs: `faults` says what goes wrong, `night` is the run and all its parts,
`world` what is reconciled and how it must come out.
"""
