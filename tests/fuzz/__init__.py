"""Fuzzing: functions that take any bytes and raise a `Fault` only where minifloat is at fault.

    faults        what a fault is: a wrong exception, a message that is not printable, too much time
    workplace     the folder that files lie in, with a secret beside it
    mutations     small random changes of bytes, texts and JSON
    *_file, compare_command, command_lines, texts, arrays
                  the targets, each with its seeds and with a mutation that knows its grammar
    targets       all of them, by name
    regressions   inputs that once found a fault
    loop          random mutations of the seeds; needs nothing
    guided        the same, guided by coverage; needs atheris

Three ways to run them: `pytest tests/fuzz` takes every seed, every regression and some mutations;
`pytest -m long tests/fuzz` mutates for a minute each; and
`python -m tests.fuzz TARGET --seconds 300` lets coverage guide the mutations.
"""
