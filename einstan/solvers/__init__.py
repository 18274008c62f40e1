"""solvers: Newton's method on derived derivatives, for minima and for roots; what scipy's minimisers take.

- given, flat, objective, equations: a program, arrays, the names that vary -> functions of one vector;
- directions, line_search, saddles: where to go from a point, and how far;
- descent: the loop, and why it ends;
- searches, results: a search as a whole, and what a user holds; minimise: what scipy takes.
"""
