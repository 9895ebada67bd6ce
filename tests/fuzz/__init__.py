"""Fuzzing: every parser of bytes that a neighbour, a peer or an image chooses.

    corpus/<target>.txt ──▶  target(bytes)  ──▶  returns: the promise held
             ▲                                  raises:  a crash, which becomes a unit test
             └── atheris (libFuzzer): mutations that reach new code

A target is a function that takes any bytes. It raises nothing, or only what the parser's docstring names. It also
checks promises: what is read can be written and read again, no limit is passed, a second parser agrees.

    make fuzz                              all targets, 30 s each
    make fuzz SECONDS_EACH=600 TARGETS=cri_lines
    python -m tests.fuzz --grow            adds the inputs that reached new code to the corpora
    python -m tests.fuzz rules --input build/fuzz/rules-crash-…    repeats a crash

`make test` runs the corpora alone, without atheris. It also demands that they reach the code under test.

registry      `target`, and the table of all targets; read it first
chassis, warcopier, logshipper, adapter, ambassador, http2    the targets, by part
corpus        the inputs of each target: one literal of bytes a line
__main__      the command
coverage      the lines of the code under test that an input runs
one           one target under atheris: the process that the command starts
test_corpora  the corpora, in `make test`
"""
