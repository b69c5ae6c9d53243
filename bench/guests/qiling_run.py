"""The peer: Qiling runs `/bin/true` of a copied root directory. Runs in Qiling's own environment, not in
ours.

`python qiling_run.py ROOT PROGRAM`, PROGRAM relative to ROOT; never give it `/` as ROOT.
"""

import sys

from qiling import Qiling  # type: ignore[import-not-found]
from qiling.const import QL_VERBOSE  # type: ignore[import-not-found]

root, program = sys.argv[1:]
ql = Qiling([f"{root}/{program}"], root, verbose=QL_VERBOSE.OFF)
ql.run()
sys.exit(ql.os.exit_code)
