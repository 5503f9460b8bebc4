"""How fast is a replay of all features, beside pandas, polars and DuckDB; how large is a card?

    python benchmarks/features.py [--events 1000000] [--compared 200000]

The measurements stand in `feature_speed.py`. This file has the name of the package that it measures
and Python looks here first, so it names the package's folder as its own search path: `features.x`
means the package's module for every script in this folder.
"""

from pathlib import Path

__path__ = [str(Path(__file__).resolve().parents[1] / "features")]

if __name__ == "__main__":
    from feature_speed import main

    main()
