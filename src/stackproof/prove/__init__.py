"""Proving: the same scenario on each candidate of a role, side by side, on the user's machine.

`runner` takes turns between the candidates, `scenarios` names one scenario for each role, `record` keeps what a round
measured and what was wrong, `figures` says what each figure is, `verdict` compares. Talks to the roles' contracts only:
how a candidate is opened is handed in.
"""
