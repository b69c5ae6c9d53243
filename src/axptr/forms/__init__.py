"""Spellings of T besides ctypes: struct codes, enums, numpy dtypes, C declarations. Each is a `Form`; see `base`."""
