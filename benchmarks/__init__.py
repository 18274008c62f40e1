"""benchmarks: einstan and its peers side by side. `python -m benchmarks [gradients|growth]`; needs the extra `bench`.

Modules here import numpy and frameworks late: `__main__` sets the number of threads before the first of them starts.
"""
