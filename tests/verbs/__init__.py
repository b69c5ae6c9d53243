import pytest

pytest.register_assert_rewrite("verbs.table")  # so that what its checks find unequal is shown
