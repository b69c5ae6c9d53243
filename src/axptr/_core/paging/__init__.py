"""Page tables: formats as data, the walk, and the tables themselves in frames."""
