"""Fit of a whole MUSE image by the HST image of the same sky."""

from pathlib import Path

import numpy as np
from astropy.nddata import CCDData

from astropy_imphot.calibration.units import read_muse_image
from astropy_imphot.fitting.diagnostics import check_free, image_flags, parameter_units, untried_values
from astropy_imphot.fitting.solve import solve
from astropy_imphot.fitting.sources import with_sky_positions
from astropy_imphot.fitting.start import SEARCH_RADIUS, coarser_image, coarser_template, find_offset
from astropy_imphot.fitting.statistics import pixel_coordinates
from astropy_imphot.io.errors import UserError
from astropy_imphot.io.files import naming, short_name
from astropy_imphot.io.grid import image_grids_aligned
from astropy_imphot.masking.masks import exclusion_mask
from astropy_imphot.models.convolved_template import ConvolvedTemplate2D
from astropy_imphot.psf.images import read_hst_psf
from astropy_imphot.reference.image import HstReference
from astropy_imphot.reference.template import HstTemplate
from astropy_imphot.results.offsets import sky_offsets
from astropy_imphot.results.photometry import FittedImagePhotometry
from astropy_imphot.results.values import covariance_of, fitted_values

__all__ = ["check_options", "fit_image_photometry", "fixed_values", "option_files"]

PARAMETERS = ("scale", "bg", "dx", "dy", "fwhm", "beta")

# Where the fit starts: typical of MUSE without adaptive optics.
START_FWHM = 0.7
START_BETA = 2.5

# The margin has room for offsets up to this, arcsec; it is around larger ones.
SMALL_OFFSET = 1.0

# A larger margin, or offset, is a mistake: a MUSE field is 60 arcsec wide.
MOST_MARGIN = 60.0


def fit_image_photometry(
    hst,
    muse,
    *,
    regions=None,
    star=None,
    segment=False,
    extramask=None,
    fix_scale=None,
    fix_bg=None,
    fix_dx=None,
    fix_dy=None,
    fix_fwhm=None,
    fix_beta=None,
    hst_fwhm=0.085,
    hst_beta=1.6,
    hst_psf=None,
    hst_psf_scale=None,
    hst_window=None,
    margin=3.0,
    init_dx=None,
    init_dy=None,
    min_scale=None,
    free=(),
    taper=0,
    keep_changed=False,
    fitter=None,
    name=None,
):
    """
    Fit the PSF, flux scale, background and offset of a MUSE image to an HST image.

    Parameters
    ----------
    hst : str, path, HDU, HDUList, `~astropy.nddata.NDData`, `HstTemplate` or `HstReference`
        The HST image: at its own pixels, or regridded by ``regrid_hst_to_muse``, or a template
        that `make_template` prepared for this MUSE image, or an image whose templates are kept.
    muse : str, path, HDU, HDUList or `~astropy.nddata.NDData`
        The MUSE image, of shape (ny, nx). Its variances weight the pixels; only their
        ratios matter, for the residuals give the level of the noise.
    regions : str, path, sequence of str, or `~regions.Regions`, optional
        ds9 regions of the MUSE image to fit or, with a leading minus, to leave out; or
        ``"star"`` or ``"notstar"``, to fit only the star or all but the star. By default (None)
        the whole image is fitted.
    star : (float, float, float), optional
        Right ascension and declination (degrees) and radius (arcsec) of the star for
        ``regions``. By default (None) there is none.
    segment : bool
        Fit only the detected objects and their surroundings (default: False).
    extramask : bool array of shape (ny, nx), str, path, HDU or HDUList, optional
        Not 0 where a pixel is to be left out. By default (None) there is no such mask.
    fix_scale, fix_bg, fix_dx, fix_dy, fix_fwhm, fix_beta : float, optional
        Values at which parameters are held (bg in 1e-20 erg/s/cm2/Angstrom; dx, dy and
        fwhm in arcsec). By default (None) all are fitted.
    hst_fwhm, hst_beta : float
        The Moffat PSF of the HST image (default: 0.085 arcsec and 1.6).
    hst_psf : str, path, HDU, HDUList, `~astropy.nddata.NDData`, array or `~photutils.psf.ImagePSF`, optional
        The PSF of the HST image as an image along its pixel axes, response of the pixels included,
        such as `~astropy_imphot.build_hst_psf` makes; see
        `~astropy_imphot.read_hst_psf`. By default (None) it is the Moffat function.
    hst_psf_scale : float, optional
        Size of its pixels, arcsec. By default (None) from its WCS or its keyword PIXSCALE.
    hst_window : {"blackman", "none"}, optional
        The decimation filter of an HST image that is on the MUSE grid and does not
        record it, such as one of the classic imphot (``"blackman"``). By default (None) what the
        image's header records.
    margin : float
        How far around the MUSE image the HST image is used, arcsec (default: 3). A file of
        ``regrid_hst_to_muse`` and a template keep the margin that they were made with.
    init_dx, init_dy : float, optional
        Where the fit starts, arcsec. By default (None) at the offset, of up to 15 arcsec along each
        axis, at which the images correlate best.
    min_scale : float, optional
        A lower limit of the flux scale. By default (None) there is none.
    free : sequence of str
        Parameters of `ConvolvedTemplate2D` to fit that are else held at 0: bg_x, bg_y, rotation, e1
        and e2 (default: none).
    taper : float
        Reduce the weights of pixels that are closer than this to a masked one, pixels
        (default: 0, none).
    keep_changed : bool
        Keep objects whose own scale or offset differs significantly from the others', such
        as stars that moved since the HST image was taken. By default (False) they are
        found and left out, see `~astropy_imphot.fitting.sources.vote`.
    fitter : `~astropy.modeling.fitting.Fitter`, optional
        By default (None) a `~astropy.modeling.fitting.TRFLSQFitter`.
    name : str, optional
        What the result calls the image. By default (None) the stem of its file.

    Returns
    -------
    FittedImagePhotometry
        The values, their errors, and the images of data, model and residual.

    Raises
    ------
    UserError
        If an image cannot be read, they do not overlap, no pixel is left to fit, or an
        option has an impossible value.

    Notes
    -----
    The model is `ConvolvedTemplate2D`, compared with the MUSE image pixel by pixel. MUSE
    pixels of which more than 1 % of the light would come from pixels that HST did not
    observe are left out. The errors follow from the residuals' own autocorrelation, see
    `~astropy_imphot.noise.covariance.sandwich_covariance`. The noise of the HST image, measured on its sky
    at its own pixels, would make the PSF too wide and the scale too small, and is corrected for,
    see `~astropy_imphot.noise.reference.template_noise`; of an image that is already on the MUSE
    grid it has to be in the variances. The result's ``flags`` tell what is doubtful.

    Examples
    --------
    >>> from astropy_imphot import fit_image_photometry
    >>> from astropy_imphot.simulation import Truth, simulate_field
    >>> field = simulate_field(seed=1, size=20.0, truth=[Truth(dx=0.1, scale=0.95)])
    >>> fit = fit_image_photometry(field.hst, field.muse[0])
    >>> bool(abs(fit.dx.value - 0.1) < 4 * fit.dx.stdev)
    True
    """
    options = {key: value for key, value in locals().items() if key not in ("hst", "muse", "fitter", "name")}
    reference = HstReference.of(hst)
    hst = reference.source
    with naming(muse, hst, *option_files(options)):
        fixed = check_options(options)
        options["free"] = check_free(free)
        psf = None if hst_psf is None else read_hst_psf(hst_psf, hst_psf_scale)
        image = read_muse_image(muse)
        mask = exclusion_mask(image, regions=regions, star=star, segment=segment, extramask=extramask)
        known = tuple(fixed.get(key, options[f"init_{key}"]) for key in ("dx", "dy"))
        template, offset = _template_and_offset(reference, image, mask, margin, hst_window, known)
        model = ConvolvedTemplate2D(
            template,
            hst_fwhm=hst_fwhm,
            hst_beta=hst_beta,
            hst_psf=psf,
            **({"fwhm": START_FWHM, "beta": START_BETA, "dx": offset[0], "dy": offset[1]} | fixed),
        )
        for key in (*fixed, *options["free"]):
            model.fixed[key] = key in fixed
        if min_scale is not None:
            model.scale.min = min_scale
        with naming(hst):
            solution = solve(model, image, mask, taper=taper, fitter=fitter, keep_changed=keep_changed)
        return _result(solution, image, name or short_name(muse), options)


def _template_and_offset(reference, image, mask, margin, hst_window, known):
    """Return the template, and where the fit starts, with the margin around it."""
    hst, template = reference.source, None
    if isinstance(hst, HstTemplate):
        if not image_grids_aligned(hst.grid, image):
            raise UserError("the template was made for another MUSE image: make it anew with make_template.")
        template = hst.in_unit(image.unit)
    elif image_grids_aligned(hst, image):
        template = reference.template(image, margin=margin, hst_window=hst_window).in_unit(image.unit)
    if None in known:
        small, small_mask = coarser_image(image, mask)
        if template is None:
            sky = reference.coarse_template(small, margin=SEARCH_RADIUS)
        else:
            sky = coarser_template(template, small)
        known = find_offset(sky, small, small_mask, known)
    if template is None:
        reach = max(abs(known[0]), abs(known[1]))
        widened = margin + reach if reach > SMALL_OFFSET else margin
        template = reference.template(image, margin=widened).in_unit(image.unit)
    return template, known


def check_options(options):
    """
    Raise an error if an option of a fit has an impossible value.

    Parameters
    ----------
    options : dict
        Keywords of `fit_image_photometry`.

    Returns
    -------
    dict of str to float
        The parameters that are held fixed, as from `fixed_values`.

    Raises
    ------
    UserError
        If a value is impossible.

    Examples
    --------
    >>> from astropy_imphot.fitting.image import check_options
    >>> check_options({"fix_beta": 2.5, "margin": 3.0, "free": ("rotation",)})
    {'beta': 2.5}
    """
    fixed = fixed_values(options)
    check_free(options.get("free", ()))
    for key in ("init_dx", "init_dy", "fix_dx", "fix_dy"):
        if options.get(key) is not None and not abs(options[key]) <= MOST_MARGIN:
            raise UserError(f"{key} is {options[key]}: give at most {MOST_MARGIN:g} arcsec.")
    if options.get("min_scale") is not None and not np.isfinite(options["min_scale"]):
        raise UserError(f"min_scale is {options['min_scale']}: give a finite number.")
    if not 0 <= options.get("margin", 0) <= MOST_MARGIN:
        raise UserError(f"margin is {options['margin']}: give 0 to {MOST_MARGIN:g} arcsec.")
    if not options.get("taper", 0) >= 0:
        raise UserError(f"taper is {options['taper']}: give 0 or more pixels.")
    return fixed


def fixed_values(options):
    """
    Return the parameters that a fit's options hold fixed.

    Parameters
    ----------
    options : dict
        Keywords of `fit_image_photometry`, of which fix_scale and the like are used.

    Returns
    -------
    dict of str to float
        The values, without the parameters that are to be fitted.

    Raises
    ------
    UserError
        If a value is not finite, fwhm not above 0, beta not above 1, or all are fixed.

    Examples
    --------
    >>> from astropy_imphot.fitting.image import fixed_values
    >>> fixed_values({"fix_beta": 2.5, "fix_dx": None, "margin": 3.0})
    {'beta': 2.5}
    """
    values = {key: options.get(f"fix_{key}") for key in PARAMETERS}
    fixed = {key: value for key, value in values.items() if value is not None}
    limits = {"fwhm": (0, np.inf, "arcsec above 0"), "beta": (1, 100, "a number above 1 and up to 100")}
    for key, value in fixed.items():
        low, high, wanted = limits.get(key, (-np.inf, np.inf, "a finite number"))
        if not (low < value <= high and np.isfinite(value)):
            raise UserError(f"fix_{key} is {value}: give {wanted}.")
    if len(fixed) == len(PARAMETERS):
        raise UserError("all parameters are fixed: leave one free at least.")
    return fixed


def option_files(options):
    """
    Return the files that a fit's options name, for errors to name them.

    Parameters
    ----------
    options : dict
        Keywords of `fit_image_photometry`, of which regions, extramask and hst_psf are used.

    Returns
    -------
    list of str or path
        The files.

    Examples
    --------
    >>> from astropy_imphot.fitting.image import option_files
    >>> option_files({"regions": "notstar", "extramask": "mask.fits"})
    ['mask.fits']
    """
    names = [options.get(key) for key in ("regions", "extramask", "hst_psf")]
    return [name for name in names if isinstance(name, str | Path) and str(name) not in ("star", "notstar")]


def _result(solution, image, name, options):
    model, mask, quality = solution.model, solution.mask, solution.quality
    y, x = pixel_coordinates(image.shape)
    light = model(x, y)
    values = fitted_values(model, quality, parameter_units(image.unit))
    offset_covariance = covariance_of(("dx", "dy"), quality.covariance, quality.free)
    values |= sky_offsets(values["dx"], values["dy"], offset_covariance, image.wcs, image.shape)
    untried = untried_values(solution, image)

    def as_image(data):
        return CCDData(data, mask=mask, unit=image.unit, wcs=image.wcs)

    return FittedImagePhotometry(
        name=name,
        method="image",
        psf=model.psf,
        values={key: values[key] for key in (*PARAMETERS, *options["free"], "dra", "ddec")},
        n_evaluations=solution.n_evaluations,
        converged=solution.converged,
        flags=image_flags(solution, values, untried),
        options=options,
        fitted_model=model.without_results(),
        data=as_image(image.data),
        model=as_image(light),
        residual=as_image(image.data - light),
        weights=solution.weights,
        objects=with_sky_positions(solution.objects, image.wcs),
        labels=solution.labels,
        untried=untried,
        **vars(quality),
    )
