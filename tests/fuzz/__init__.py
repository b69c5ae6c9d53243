"""A coverage-guided fuzzer of the public pointer API: see `python -m tests.fuzz --help` and CONTRIBUTING.md.

An input is a program of calls: `source` turns its bytes into numbers, `program` into calls, `world` holds the spaces,
providers and views they are made with, and judges what came of each. `shadow` is the naive model that says what should
have come of it. `single`, `many` and `owner` are the calls, `kinds` the types. Nothing in these needs atheris: only
`worker` does, the process that makes new inputs.
"""
