"""`python -m axptr` is the `axptr` command."""

from .cli.main import main

main()
