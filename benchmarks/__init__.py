"""benchmarks: einstan and its peers side by side. `python -m benchmarks --help`; needs the extra `bench`.

What is measured: models (by_hand: the same in numpy) and networks; growth makes the long ones. Who is measured: tables
of candidates in gradients, paths and first_result; peers has the other frameworks. How: checking (the numbers are
right), rounds (the time). What comes of it: report, plots, results (which writes RESULTS.md).

Modules here import numpy and frameworks late: `__main__` sets the number of threads before the first of them starts.
"""
