"""One exposure's filters combined: one offset, and a PSF that changes smoothly with wavelength."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.table import QTable
from scipy.special import chdtrc

from astropy_imphot.field.bands import band_effect
from astropy_imphot.field.joint import is_shared, joint_covariance
from astropy_imphot.io.errors import UserError
from astropy_imphot.io.representation import Representation
from astropy_imphot.noise.covariance import inverse
from astropy_imphot.parameters import all_parameters
from astropy_imphot.psf.shape import PsfShape
from astropy_imphot.psf.wavelength import REFERENCE, WAVELENGTHS, relative
from astropy_imphot.results.columns import describe
from astropy_imphot.results.flags import FitFlags
from astropy_imphot.results.offsets import sky_jacobian, sky_offsets
from astropy_imphot.results.values import FittedValue

__all__ = ["CombinedPhotometry", "combine"]

# The columns of the table of a combination that are not values.
COLUMNS = {
    "filters": "filters that were combined",
    "outliers": "filters that differ from the others",
    "radec_corr": "correlation of dra and ddec",
    "chi2": "chi-squared of the combination",
    "dof": "its degrees of freedom",
}

# Fits with these flags are not used.
UNUSABLE = FitFlags.NOT_CONVERGED | FitFlags.AT_BOUND | FitFlags.BEYOND_MARGIN

# Differences of filters that are less likely than this are no chance; errors are not Gaussian that far out.
UNLIKELY = 1e-5

# Parameters whose change by the width of a band is a fraction.
RELATIVE = ("fwhm", "scale")

# The slope of the FWHM hardly depends on the widths of the filters.
BAND_PASSES = 2


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class CombinedPhotometry(Representation):
    """
    The filters of an exposure combined.

    Attributes
    ----------
    filters : tuple of str
        Those that were combined.
    outliers : tuple of str
        Those that were excluded because they differ from the others.
    unusable : tuple of str
        Those that were excluded because of their fits' flags.
    values : dict of str to `~astropy_imphot.FittedValue`
        scale, dx, dy, dra, ddec, the parameters of the PSF at 7000 Angstrom, and other fitted parameters that
        the filters share, such as rotation, e1 and e2.
    psf : `~astropy_imphot.psf.shape.PsfShape`
        The shape of the PSF.
    own : dict of str to dict of str to `~astropy_imphot.FittedValue`
        Parameters that the filters do not share, given the common PSF and offset: scale, bg, and other terms
        of the background that were fitted; for each of them, its value in each filter.
    radec_corr : float
        Correlation of dra and ddec.
    polynomials : dict of str to (array of shape (degree + 1,), array of shape (degree + 1, degree + 1))
        For each parameter of the PSF, the coefficients of its polynomial of (wavelength - 4750)/(9350 -
        4750) - 0.5, highest power first, and their covariance; fwhm in arcsec.
    chi2 : float
        Of the combination.
    dof : int
        Its degrees of freedom.

    Examples
    --------
    See `combine`.
    """

    filters: tuple
    outliers: tuple
    unusable: tuple
    values: dict
    psf: PsfShape
    own: dict
    radec_corr: float
    polynomials: dict
    chi2: float
    dof: int

    def _represented(self):
        return {"filters": list(self.filters)} | self.values | {"chi2": round(self.chi2, 2), "dof": self.dof}

    @property
    def agree(self):
        """
        Whether the filters that were combined agree within their errors.

        Examples
        --------
        See `combine`.
        """
        return _likely(self.chi2, self.dof)

    def to_table(self):
        """
        Return the values as a table of one row.

        Returns
        -------
        `~astropy.table.QTable`
            Columns filters, each of the values and its standard deviation (``_err``), radec_corr,
            the polynomials (``fwhm_coef``) and their covariances (``fwhm_cov``), the parameters that the
            filters do not share (``scale_`` or ``bg_`` and the filter's name), chi2, dof and outliers.

        Examples
        --------
        See `combine`.
        """
        row = {"filters": [",".join(self.filters)]}
        own = {f"{key}_{name}": value for key, found in self.own.items() for name, value in found.items()}
        for key, value in (self.values | own).items():
            row[key] = [value.value] * value.unit
            row[f"{key}_err"] = [value.stdev] * value.unit
        row["radec_corr"] = [self.radec_corr]
        for key, (coefficients, covariance) in self.polynomials.items():
            unit = self.values[key].unit
            row[f"{key}_coef"] = coefficients[None] * unit
            row[f"{key}_cov"] = covariance[None] * unit**2
        row |= {"chi2": [self.chi2], "dof": [self.dof], "outliers": [",".join(self.outliers)]}
        infos = all_parameters(self.psf)
        words = {
            name: f"{info.words}, at {REFERENCE:g} Angstrom" if info.kind == "psf" else info.words
            for name, info in infos.items()
        }
        for key, found in self.own.items():
            words |= {f"{key}_{name}": f"{infos[key].words}, in {name}" for name in found}
        for key in self.polynomials:
            words[f"{key}_coef"] = f"polynomial of {key} in wavelength, highest power first"
            words[f"{key}_cov"] = f"covariance of {key}_coef"
        return describe(QTable(row), words | COLUMNS)


def combine(fits, bands, *, fwhm_degree=1, **degrees):
    """
    Combine the fits of an exposure in several filters.

    Parameters
    ----------
    fits : dict of str to `~astropy_imphot.FittedImagePhotometry`
        The fits of n filters.
    bands : dict of str to (float, float)
        The mean wavelength and the rms width of each filter, Angstrom.
    fwhm_degree : int
        Degree of the polynomial of the FWHM (default: 1); with fewer than degree + 1 filters, a lower one
        is used.
    **degrees
        The same for other parameters of the PSF, such as beta_degree (default: 0).

    Returns
    -------
    CombinedPhotometry
        The offset, the PSF, and the scales.

    Raises
    ------
    UserError
        If no fit is usable.

    Notes
    -----
    Generalized least squares (Aitken 1935), with the covariances of each fit and between the fits
    (`~astropy_imphot.field.joint.joint_covariance`): one dx and one dy, polynomials of fwhm and beta, and
    a scale and a background for each filter. Of three filters or more, one without which chi-square falls by
    more than chance allows (probability 1e-5) is excluded, the worst first. If the others differ by more than
    chance allows (the same probability), the errors are multiplied by the square root of the reduced
    chi-square, as they are for the common scale.

    A filter's PSF is a mixture of those at its wavelengths, which makes its FWHM and beta smaller than those
    at the mean wavelength: the change that follows from the polynomial and the filter's width is subtracted
    (`~astropy_imphot.field.bands.band_effect`).

    Examples
    --------
    >>> from astropy_imphot import fit_image_photometry
    >>> from astropy_imphot.field.combine import combine
    >>> from astropy_imphot.simulation import Truth, simulate_field
    >>> fits = {}
    >>> for name, seed in (("F606W", 1), ("F814W", 2)):
    ...     field = simulate_field(seed, size=12.0, truth=[Truth(dx=0.1)], filter_name=name)
    ...     fits[name] = fit_image_photometry(field.hst, field.muse[0])
    >>> both = combine(fits, {"F606W": (5920.0, 670.0), "F814W": (8060.0, 650.0)})
    >>> both.values["dx"].stdev < min(fit.dx.stdev for fit in fits.values()), bool(both.agree)
    (True, True)
    >>> print(both.to_table()["filters"][0])
    F606W,F814W
    """
    usable = {name: fit for name, fit in fits.items() if not fit.flags & UNUSABLE}
    if not usable:
        raise UserError("no filter has a fit that can be used: see the flags of each.")
    values, covariance = joint_covariance(usable)
    names, outliers = list(usable), []
    psf = next(iter(usable.values())).fitted_model.psf
    degrees = {name: (degrees | {"fwhm_degree": fwhm_degree}).get(f"{name}_degree", 0) for name in psf.names}
    infos = {key: info for fit in usable.values() for key, info in fit.fitted_model.infos.items()}

    def solved(chosen):
        solution = _solve(values, covariance, chosen, bands, degrees, infos)
        for _ in range(BAND_PASSES):
            narrow = _without_width(values, solution, usable, bands)
            solution = _solve(narrow, covariance, chosen, bands, degrees, infos)
        return solution

    solution = solved(names)
    while len(names) > 2:
        without = {name: solved([one for one in names if one != name]) for name in names}
        worst = min(without, key=lambda name: without[name].chi2)
        less = without[worst]
        if _likely(solution.chi2 - less.chi2, max(solution.dof - less.dof, 1)):
            break
        outliers.append(worst)
        names.remove(worst)
        solution = less
    unusable = tuple(name for name in fits if name not in usable)
    return _result(solution, usable, names, outliers, unusable, degrees)


@dataclass(frozen=True, eq=False)
class _Solution:
    """Parameters (name, filter or power), their covariance, and chi-square."""

    parameters: list
    values: np.ndarray
    covariance: np.ndarray
    chi2: float
    dof: int

    def of(self, key):
        """Return the values of a quantity, in order, and their covariance."""
        places = [index for index, (name, _) in enumerate(self.parameters) if name == key]
        return self.values[places], self.covariance[np.ix_(places, places)]


def _without_width(values, solution, fits, bands):
    """Return the values of fits as they would be in filters without width."""
    fwhm = np.poly1d(solution.of("fwhm")[0])
    narrow = dict(values)
    for name, fit in fits.items():
        wavelength, width = bands[name]
        slope = np.polyder(fwhm)(relative(wavelength)) / np.ptp(WAVELENGTHS)
        spread = slope * width / values[name, "fwhm"]
        psf = fit.fitted_model.psf
        # The effect of rounded values is computed once for fits of the same PSF.
        mean = {key: round(values[name, key], 2) for key in psf.names}
        effect = band_effect(psf, mean, [key for key in psf.names if key in fit.free])
        for key, change in effect.items():
            if key in fit.free:
                size = values[name, key] if key in RELATIVE else 1.0
                narrow[name, key] -= change * spread**2 * size
    return narrow


def _solve(values, covariance, names, bands, degrees, infos):
    fitted = [key for key in infos if (names[0], key) in values]
    shared = [key for key in fitted if is_shared(infos[key])]
    own = [key for key in fitted if not is_shared(infos[key])]
    powers = {key: range(min(degrees.get(key, 0), len(names) - 1), -1, -1) for key in shared}
    parameters = [(key, power) for key in shared for power in powers[key]]
    parameters += [(key, name) for key in own for name in names]
    chosen = [index for index, (name, _) in enumerate(values) if name in names]
    design = np.zeros((len(chosen), len(parameters)))
    found = np.array(list(values.values()))[chosen]
    for row, (name, key) in enumerate(one for one in values if one[0] in names):
        for column, (parameter, which) in enumerate(parameters):
            if parameter == key and key in own:
                design[row, column] = which == name
            elif parameter == key:
                design[row, column] = relative(bands[name][0]) ** which
    block = covariance[np.ix_(chosen, chosen)]
    free = np.diag(block) > 0
    weight = inverse(block[np.ix_(free, free)])
    # Parameters that only fixed values determine are solved for without weights.
    solved = np.linalg.lstsq(design, found)[0]
    determined = np.abs(design[free]).sum(axis=0) > 0
    used = design[np.ix_(free, determined)]
    errors = np.zeros((len(parameters), len(parameters)))
    errors[np.ix_(determined, determined)] = inverse(used.T @ weight @ used)
    solved[determined] = errors[np.ix_(determined, determined)] @ used.T @ weight @ found[free]
    rest = found[free] - used @ solved[determined]
    dof = int(free.sum() - determined.sum())
    return _Solution(parameters, solved, errors, float(rest @ weight @ rest), dof)


def _result(solution, fits, names, outliers, unusable, degrees):
    covariance = solution.covariance
    if not _likely(solution.chi2, solution.dof):
        covariance = covariance * solution.chi2 / solution.dof
    solution = _Solution(solution.parameters, solution.values, covariance, solution.chi2, solution.dof)
    fit = fits[names[0]]
    infos = fit.fitted_model.infos
    keys = [key for key in infos if key in fit.values and is_shared(infos[key])]
    coefficients = {key: solution.of(key) for key in keys}

    def at_reference(key):
        value, errors = coefficients[key]
        powers = relative(REFERENCE) ** np.arange(len(value) - 1, -1, -1)
        stdev = np.sqrt(powers @ errors @ powers)
        return FittedValue(float(powers @ value), float(stdev), key not in fit.free, fit.values[key].unit)

    shared = {key: at_reference(key) for key in keys}
    padded = {}
    for key, degree in degrees.items():
        value, errors = coefficients[key]
        # Powers that the filters do not determine are 0.
        missing = degree + 1 - len(value)
        padded[key] = np.pad(value, (missing, 0)), np.pad(errors, ((missing, 0), (missing, 0)))
    own = {
        key: _of_filters(solution, key, names, fit)
        for key in infos
        if key in fit.values and not is_shared(infos[key])
    }
    scale = _common_scale(solution, own["scale"])
    sky, correlation = _on_sky(solution, shared, fit.data)
    return CombinedPhotometry(
        filters=tuple(names),
        outliers=tuple(outliers),
        unusable=unusable,
        values={"scale": scale, "dx": shared["dx"], "dy": shared["dy"]} | sky | shared,
        psf=fit.fitted_model.psf,
        own=own,
        radec_corr=correlation,
        polynomials=padded,
        chi2=solution.chi2,
        dof=solution.dof,
    )


def _of_filters(solution, key, names, fit):
    """Return the values of a parameter that the filters do not share."""
    values, covariance = solution.of(key)
    errors = np.sqrt(np.diag(covariance))
    return {
        name: FittedValue(float(value), float(error), key not in fit.free, fit.values[key].unit)
        for name, value, error in zip(names, values, errors, strict=True)
    }


def _common_scale(solution, scales):
    """Return the weighted mean of the filters' scales."""
    values, covariance = solution.of("scale")
    first = next(iter(scales.values()))
    if first.fixed:
        return first
    weight = inverse(covariance)
    variance = 1 / weight.sum()
    common = variance * (weight @ values).sum()
    rest = values - common
    chi2, dof = rest @ weight @ rest, len(values) - 1
    if not _likely(chi2, dof):
        variance *= chi2 / dof
    return FittedValue(float(common), float(np.sqrt(variance)), False, u.dimensionless_unscaled)


def _on_sky(solution, shared, image):
    """Return the offset on the sky, and the correlation of its coordinates."""
    places = [index for index, (name, _) in enumerate(solution.parameters) if name in ("dx", "dy")]
    covariance = solution.covariance[np.ix_(places, places)]
    jacobian = sky_jacobian(image)
    on_sky = jacobian @ covariance @ jacobian.T
    product = np.sqrt(on_sky[0, 0] * on_sky[1, 1])
    correlation = float(on_sky[0, 1] / product) if product > 0 else 0.0
    return sky_offsets(shared["dx"], shared["dy"], covariance, image), correlation


def _likely(chi2, dof):
    """Return whether chance allows such a chi-square."""
    return dof < 1 or chdtrc(dof, max(chi2, 0.0)) > UNLIKELY
