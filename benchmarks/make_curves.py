"""
Make the package's data files of filter curves from the packages that distribute the numbers.

It needs these packages beside astropy_imphot. With these versions and astropy 8.0, the files are reproduced
byte for byte:

    pip install galsim==2.8.5 mpdaf==3.6 astro-sedpy==0.4.1 pyphot==2.1.1 speclite==1.0.0
    python benchmarks/make_curves.py astropy_imphot/calibration/data/curves

Curves of packages that are not installed are skipped.
"""

import argparse
from importlib import metadata, util
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

# Of the file format: its columns and keywords.
VERSION = "1"

ACS = "STScI, ACS throughput tables, www.stsci.edu/hst/acs/analysis/throughputs"
WFC3 = "STScI, WFC3 throughput tables, www.stsci.edu/hst/wfc3/ins_performance/throughputs"
UVIS = "STScI, WFC3/UVIS system throughputs, chip 1, www.stsci.edu/~WFC3/UVIS/SystemThroughput"
MUSE = "MUSE pipeline, FILTER_LIST of 2017-01-24, by P. Weilbacher and the GALEV team"
WFPC2 = "STScI, synphot's WFPC2 throughputs"
NIRCAM = "B. Hilbert, private communication, May 2024, post-flight, one module, with telescope and detector"
EUCLID = "ESA, Euclid VIS, by way of speclite's group Euclid"

# Camera, filters, package, name in it, original reference. galsim's ACS curves come before mpdaf's: their
# pivot wavelengths are those of STScI's zero points. The curves of WFC3 in mpdaf and pyphot are not used:
# they are of the filters alone, without mirrors and detector, which shifts their mean by up to 300 Angstrom.
CURVES = (
    ("ACS/WFC", "F435W F606W F775W F814W F850LP", "galsim", "ACS_wfc_{}.dat", ACS),
    ("ACS/WFC", "F475W F550M F555W F625W", "mpdaf", "filter_list.fits ACS_{}", MUSE),
    ("WFC3/UVIS", "F275W F336W", "galsim", "WFC3_uvis_{}.dat", WFC3),
    ("WFC3/UVIS", "F475W F555W F606W F814W", "astro-sedpy", "wfc3_uvis_{}.par", UVIS),
    ("WFC3/IR", "F105W F125W F160W", "galsim", "WFC3_ir_{}.dat", WFC3),
    ("WFPC2", "F555W F675W F814W", "mpdaf", "filter_list.fits WFPC2_{}", MUSE),
    ("WFPC2", "F606W", "pyphot", "hst_wfpc2_{}.csv", WFPC2),
    ("NIRCAM", "F070W F090W", "astro-sedpy", "jwst_{}.par", NIRCAM),
    ("VIS", "VIS", "speclite", "Euclid-{}", EUCLID),
)

LICENSES = {
    "galsim": "BSD-2-Clause",
    "mpdaf": "BSD-3-Clause",
    "astro-sedpy": "MIT",
    "pyphot": "MIT",
    "speclite": "BSD-3-Clause",
}

# Long tables of these packages are thinned, to this relative error of the integral. Tables of mpdaf are not,
# so that results of earlier versions with these tables stay the same.
THINNED = {"astro-sedpy": 1e-5, "pyphot": 1e-5}
LONG = 1000  # rows


def main():
    """Write the files to the folder on the command line."""
    parser = argparse.ArgumentParser(description="Make the data files of filter curves.")
    parser.add_argument("folder", type=Path, help="folder of the files")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for camera, names, package, pattern, reference in CURVES:
        for name in names.split():
            try:
                version = metadata.version(package)
            except metadata.PackageNotFoundError:
                print(f"{camera} {name}: {package} is not installed")
                continue
            inside = pattern.format(name.lower() if pattern.islower() else name)
            table = Table(curve(package, inside), names=("wavelength", "sensitivity"))
            table["wavelength"].unit = "Angstrom"
            table.meta = {
                "camera": camera,
                "filter": name,
                "response": "photon",
                "source": f"{package} {version} {inside}",
                "license": LICENSES[package],
                "reference": reference,
                "version": VERSION,
            }
            path = folder / f"{camera.replace('/', '_')}_{name}.ecsv".lower()
            table.write(path, format="ascii.ecsv", overwrite=True)
            print(f"{path.name}: {len(table)} rows of {table.meta['source']}")


def curve(package, name):
    """Return wavelengths (Angstrom) and sensitivities of a curve in an installed package."""
    wavelength, sensitivity = READERS[package](name)
    if package in THINNED and len(wavelength) > LONG:
        from galsim.utilities import thin_tabulated_values

        wavelength, sensitivity = thin_tabulated_values(
            wavelength, sensitivity, rel_err=THINNED[package], fast_search=True
        )
    return np.array(wavelength, dtype=float), np.array(sensitivity, dtype=float)


def _from_galsim(name):
    # The files' wavelengths are in nm.
    wavelength, sensitivity = np.loadtxt(
        _file("galsim", "share", "bandpasses", name), usecols=(0, 1), unpack=True
    )
    return wavelength * 10, sensitivity


def _from_mpdaf(name):
    file, extension = name.split()
    with fits.open(_file("mpdaf", "obj", "filters", file)) as hdus:
        table = hdus[extension].data
        return [np.array(table[key], dtype=float) for key in ("lambda", "throughput")]


def _from_sedpy(name):
    return np.loadtxt(_file("sedpy", "data", "filters", name), unpack=True)


def _from_pyphot(name):
    lines = _file("pyphot", "libs", "ascii_sources", name).read_text().splitlines()
    return np.loadtxt([line for line in lines if line[:1].isdigit()], delimiter=",", unpack=True)


def _from_speclite(name):
    from speclite.filters import load_filter

    found = load_filter(name)
    # The wavelengths were converted from nm, with rounding errors.
    return np.round(found.wavelength, 6), found.response


def _file(package, *parts):
    # find_spec does not import the package, which can take seconds.
    return Path(util.find_spec(package).submodule_search_locations[0], *parts)


READERS = {
    "galsim": _from_galsim,
    "mpdaf": _from_mpdaf,
    "astro-sedpy": _from_sedpy,
    "pyphot": _from_pyphot,
    "speclite": _from_speclite,
}

if __name__ == "__main__":
    main()
