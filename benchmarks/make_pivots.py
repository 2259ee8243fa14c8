"""
Make the package's table of pivot wavelengths of surveys from the curves of speclite.

    pip install speclite==1.0.0
    python benchmarks/make_pivots.py astropy_imphot/calibration/data/pivot_wavelengths.ecsv
"""

import argparse

import speclite
from astropy.table import Table
from speclite.filters import load_filter

from astropy_imphot import FilterCurve

# Camera, filters, and speclite's names of them.
FILTERS = (
    ("DECAM", "GRIZY", "decamDR1-{}"),
    ("BASS/MZLS", "GR", "BASS-{}"),
    ("BASS/MZLS", "Z", "MzLS-{}"),
    ("HSC", "GRIZY", "hsc2017-{}"),
    ("LSST", "UGRIZY", "lsst2023-{}"),
)


def main():
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("path")
    path = parser.parse_args().path
    rows = []
    for camera, names, pattern in FILTERS:
        for name in names:
            # The Y filter of DECam has a capital letter.
            source = pattern.format(name if (camera, name) == ("DECAM", "Y") else name.lower())
            curve = load_filter(source)
            pivot = FilterCurve(curve.wavelength, curve.response).pivot
            rows.append((camera, name, round(pivot, 1), source))
    table = Table(rows=rows, names=("camera", "filter", "photplam", "curve"))
    table["photplam"].unit = "Angstrom"
    table["photplam"].description = "Pivot wavelength"
    table["curve"].description = "Name of the curve in speclite, which it was computed from"
    table.meta = {"source": f"speclite {speclite.__version__}", "license": "BSD-3-Clause", "version": "1"}
    table.write(path, format="ascii.ecsv", overwrite=True)


if __name__ == "__main__":
    main()
