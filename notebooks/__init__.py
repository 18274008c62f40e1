"""notebooks: einstan explained, each as a source `N_name.py` and the notebook `N_name.ipynb` made from it.

`python -m notebooks` runs the sources and writes the notebooks; needs the extra `dev`.
"""
