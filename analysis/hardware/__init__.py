"""What the error of a format costs in a circuit: `python -m analysis.hardware`.

circuits    the circuits that are counted, in the order in which they are measured
counts      what they take, by Yosys: records, continued where a file of them ends
mac_model   the analytic model of a multiply-accumulate unit of INT v.s. FP
tradeoff    records joined with exact errors: cost and error, the Pareto front, where the cost goes

Records are in docs/data/hardware; docs/accuracy_and_cost.md shows what they say.
"""
