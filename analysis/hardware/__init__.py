"""What the error of a format costs in a circuit: `python -m analysis.hardware`.

circuits      the circuits that are counted, in the order in which they are measured
counts        what they take, by Yosys: records, continued where a file of them ends
accumulators  what sums lose in each accumulator
layers        real layers: errors of weights, activations and products; what MiniLM loses
errors        what a format loses: exact on laws, measured on layers; of products, to first order
tradeoff      counts joined with errors: cost and SQNR, and the front that no other beats
races         formats against integers of their width, with a criterion
allocation_costs  what a product takes, as a cost for `minifloat.allocate`
shares        where the cost of a dot product goes
mac_model     the analytic model of a multiply-accumulate unit of INT v.s. FP
rankings      whether two measures rank formats alike, with an interval

Records are in docs/data/hardware; docs/accuracy_and_cost.md shows what they say.
"""
