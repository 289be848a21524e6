"""What is measured, and how: each prints its figures and writes them to `benchmarks/results/`."""
