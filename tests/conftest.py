"""Makes tests/strategies.py importable from every test, and no property fail because the machine is busy."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import Phase, settings

sys.path.insert(0, str(Path(__file__).parent))
settings.register_profile("patient", deadline=None)
# For tests/mutants: that a promise is broken is all that is asked, and asked again the answer has to be the same.
settings.register_profile("mutants", deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate))
settings.load_profile("patient")
