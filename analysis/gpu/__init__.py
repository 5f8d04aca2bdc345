"""The cost of conversions on NVIDIA's GPUs: machine instructions, results and speed."""
