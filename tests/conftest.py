"""Makes tests/strategies.py importable from every test, and no property fail because the machine is busy."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hypothesis import Phase, settings

sys.path.insert(0, str(Path(__file__).parent))
# Under tox, and so in CI, the same commit has the same answer; at a desk each run draws anew.
settings.register_profile("patient", deadline=None, derandomize="TOX_ENV_NAME" in os.environ)
# For tests/mutants: that a promise is broken is all that is asked, and asked again the answer has to be the same.
settings.register_profile("mutants", deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate))
settings.load_profile("patient")
