"""The compiled core: only what must be fast, each behaviour once. Private; the public names stand in `axptr`."""
