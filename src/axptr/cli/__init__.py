"""The `axptr` command. `main` finds the subcommand; each stands in a file of its own. Start-up time counts:
a module here imports what nearly every run needs, and anything else where it is used."""
