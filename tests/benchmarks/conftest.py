"""Makes `benchmarks`, which is run from the repository's root and not installed, importable."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
