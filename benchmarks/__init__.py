"""What a sign-in costs: time, SQL statements and requests to Microsoft, beside the budgets.

Run by ``python -m benchmarks``. Figures that are counted must hold; times depend on the machine.
"""
