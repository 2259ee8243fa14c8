"""Fit of a whole MUSE image by the HST image of the same sky."""

from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData

from astropy_imphot.changed import are_compact, segment_objects, vote
from astropy_imphot.errors import UserError
from astropy_imphot.files import naming, short_name
from astropy_imphot.fitting import fit_pixels, pixel_coordinates, pixel_weights, statistics, weighted_jacobian
from astropy_imphot.masks import exclusion_mask
from astropy_imphot.models import ConvolvedTemplate2D
from astropy_imphot.offsets import sky_offsets
from astropy_imphot.regrid import make_template
from astropy_imphot.rescale import image_grids_aligned, read_muse_image
from astropy_imphot.results import FittedImagePhotometry
from astropy_imphot.template import MISSING_LIMIT, HstTemplate
from astropy_imphot.values import covariance_of, fitted_values

__all__ = ["fit_image_photometry", "fixed_values", "option_files"]

PARAMETERS = ("scale", "bg", "dx", "dy", "fwhm", "beta")

# Where the fit starts: typical of MUSE without adaptive optics.
START_FWHM = 0.7
START_BETA = 2.5

# A larger margin, or offset, is a mistake: a MUSE field is 60 arcsec wide.
MOST_MARGIN = 60.0

# Which pixels are usable depends on the fit: how often to fit again.
MAX_PASSES = 8


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
    hst_window=None,
    margin=3.0,
    init_dx=0.0,
    init_dy=0.0,
    min_scale=None,
    taper=0,
    keep_changed=False,
    fitter=None,
    name=None,
):
    """
    Fit the PSF, flux scale, background and offset of a MUSE image to an HST image.

    Parameters
    ----------
    hst : str, path, HDU, HDUList, `~astropy.nddata.NDData` or `HstTemplate`
        The HST image: at its own pixels, or regridded by ``regrid_hst_to_muse``, or a template
        that `make_template` prepared for this MUSE image.
    muse : str, path, HDU, HDUList or `~astropy.nddata.NDData`
        The MUSE image, of shape (ny, nx). Its variances weight the pixels; only their
        ratios matter, for the residuals give the level of the noise.
    regions : str, path, sequence of str, or `~regions.Regions`, optional
        ds9 regions of the MUSE image to fit or, with a leading minus, to leave out; or
        ``"star"`` or ``"notstar"``, to fit only the star or all but the star. By default (None)
        the whole image is fitted.
    star : (float, float, float), optional
        Right ascension and declination (degrees) and radius (arcsec) of the star for
        ``regions``.
    segment : bool
        Fit only the detected objects and their surroundings (default: False).
    extramask : bool array of shape (ny, nx), str, path, HDU or HDUList, optional
        Not 0 where a pixel is to be left out.
    fix_scale, fix_bg, fix_dx, fix_dy, fix_fwhm, fix_beta : float, optional
        Values at which parameters are held (bg in 1e-20 erg/s/cm2/Angstrom; dx, dy and
        fwhm in arcsec). By default (None) all are fitted.
    hst_fwhm, hst_beta : float
        The Moffat PSF of the HST image (default: 0.085 arcsec and 1.6).
    hst_window : {"blackman", "none"}, optional
        The decimation filter of an HST image that is on the MUSE grid and does not
        record it, such as one of the classic imphot (``"blackman"``).
    margin : float
        How far around the MUSE image the HST image is used, arcsec (default: 3). A file of
        ``regrid_hst_to_muse`` and a template keep the margin that they were made with.
    init_dx, init_dy : float
        Where the search for the offset starts, arcsec (default: 0).
    min_scale : float, optional
        A lower limit of the flux scale. By default (None) there is none.
    taper : float
        Reduce the weights of pixels that are closer than this to a masked one, pixels
        (default: 0, none).
    keep_changed : bool
        Keep objects whose own scale or offset differs significantly from the others', such
        as stars that moved since the HST image was taken. By default (False) they are
        found and left out, see `~astropy_imphot.changed.vote`.
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
    `~astropy_imphot.noise.sandwich_covariance`.

    Examples
    --------
    >>> from astropy_imphot import fit_image_photometry
    >>> from astropy_imphot.simulate import Truth, simulate_field
    >>> field = simulate_field(seed=1, size=20.0, truth=[Truth(dx=0.1, scale=0.95)])
    >>> fit = fit_image_photometry(field.hst, field.muse[0])
    >>> bool(abs(fit.dx.value - 0.1) < 4 * fit.dx.stdev)
    True
    """
    options = {key: value for key, value in locals().items() if key not in ("hst", "muse", "fitter", "name")}
    with naming(muse, hst, *option_files(options)):
        fixed = fixed_values(options)
        for key in ("init_dx", "init_dy"):
            if not abs(options[key]) <= MOST_MARGIN:
                raise UserError(f"{key} is {options[key]}: give at most {MOST_MARGIN:g} arcsec.")
        if min_scale is not None and not np.isfinite(min_scale):
            raise UserError(f"min_scale is {min_scale}: give a finite number.")
        image = read_muse_image(muse)
        start = {"dx": init_dx, "dy": init_dy} | fixed
        # Wherever the search starts, the margin is around it.
        reach = max(abs(start["dx"]), abs(start["dy"]))
        template = _template(hst, image, margin, reach, hst_window)
        mask = exclusion_mask(image, regions=regions, star=star, segment=segment, extramask=extramask)
        model = _start_model(template, hst_fwhm, hst_beta, start, fixed, min_scale)
        with naming(hst):
            solution = _fit_usable_pixels(model, image, mask, taper, fitter, fixed, keep_changed)
        fitted, fit_info, mask, objects = solution
        return _result(fitted, fit_info, image, mask, objects, name or short_name(muse), options)


def _template(hst, image, margin, reach, hst_window):
    if isinstance(hst, HstTemplate):
        if not image_grids_aligned(hst.grid, image):
            raise UserError("the template was made for another MUSE image: make it anew with make_template.")
        return hst.in_unit(image.unit)
    if not 0 <= margin <= MOST_MARGIN:
        raise UserError(f"margin is {margin}: give 0 to {MOST_MARGIN:g} arcsec.")
    template = make_template(hst, image, margin=margin + reach, hst_window=hst_window)
    return template.in_unit(image.unit)


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
    >>> from astropy_imphot.fit_image import fixed_values
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
        Keywords of `fit_image_photometry`, of which regions and extramask are used.

    Returns
    -------
    list of str or path
        The files.

    Examples
    --------
    >>> from astropy_imphot.fit_image import option_files
    >>> option_files({"regions": "notstar", "extramask": "mask.fits"})
    ['mask.fits']
    """
    names = [options.get(key) for key in ("regions", "extramask")]
    return [name for name in names if isinstance(name, str | Path) and Path(name).suffix]


def _start_model(template, hst_fwhm, hst_beta, start, fixed, min_scale):
    model = ConvolvedTemplate2D(
        template,
        hst_fwhm=hst_fwhm,
        hst_beta=hst_beta,
        **({"fwhm": START_FWHM, "beta": START_BETA} | start),
    )
    for key in fixed:
        model.fixed[key] = True
    if min_scale is not None:
        model.scale.min = min_scale
    return model


def _fit_usable_pixels(model, image, mask, taper, fitter, fixed, keep_changed):
    """
    Fit the pixels that can be modelled and did not change.

    Which these are, the fit itself decides, so that it is repeated until they stay the
    same. Returns the model, what the fitter tells, the final mask and the table of objects.
    """
    labels = objects = None
    left_out = mask | _unmodelled(model)
    changed = np.zeros_like(mask)
    for number in range(MAX_PASSES):
        if left_out.all():
            raise UserError(
                "no pixel of the MUSE image can be modelled: the HST image has to cover it and a "
                "few arcsec around it."
            )
        weights = pixel_weights(image, left_out, taper)
        start = _with_linear_start(model, image, weights, fixed)
        model, fit_info = fit_pixels(start, image, left_out, weights, fitter)
        used, left_out = left_out, mask | _unmodelled(model)
        if not keep_changed:
            if labels is None:
                labels = _segments(model, image, left_out)
            objects = _vote(model, image, left_out, labels)
            # An object may come back at first, but not in and out for ever.
            kept = changed if number >= MAX_PASSES // 2 else np.zeros_like(mask)
            changed = kept | np.isin(labels, objects["label"][objects["changed"]])
            left_out = left_out | changed
        if np.array_equal(used, left_out):
            break
    return model, fit_info, used, objects


def _segments(model, image, mask):
    sky = model.copy()
    sky.scale = 0
    y, x = pixel_coordinates(image.shape)
    background = sky(x, y)
    return segment_objects(image.data - background, model(x, y) - background, ~mask)


def _vote(model, image, mask, labels):
    y, x = pixel_coordinates(image.shape)
    weights = pixel_weights(image, mask)
    jacobian = weighted_jacobian(model, ("scale", "dx", "dy"), image.shape, weights)
    residual = np.where(mask, 0, image.data - model(x, y)) * weights
    height, width = model.template.pixel_scale

    def compact(x, y):
        return are_compact(model.template, x - model.dx.value / width, y - model.dy.value / height)

    return vote(labels, jacobian, residual, ~mask, model.scale.value, compact)


def _unmodelled(model):
    """Return the pixels that draw too much of their light from where HST did not observe."""
    return model.missing_fraction() > MISSING_LIMIT


def _with_linear_start(model, image, weights, fixed):
    """Start from the scale and background that are best for the other parameters."""
    y, x = pixel_coordinates(image.shape)
    model = model.copy()
    unit_light = model.copy()
    unit_light.scale, unit_light.bg = 1, 0
    columns = {"scale": unit_light(x, y), "bg": np.ones_like(x)}
    free = [key for key in columns if key not in fixed]
    if free:
        used = weights > 0
        rest = image.data - sum(fixed[key] * columns[key] for key in columns if key in fixed)
        matrix = np.stack([(columns[key] * weights)[used] for key in free], axis=1)
        solution = np.linalg.lstsq(matrix, (rest * weights)[used])[0]
        for key, value in zip(free, solution, strict=True):
            parameter = getattr(model, key)
            # Fitters start within the bounds, not on them.
            least = -np.inf if parameter.min is None else parameter.min + 0.01 * max(abs(parameter.min), 0.01)
            parameter.value = max(value, least)
    return model


def _result(model, fit_info, image, mask, objects, name, options):
    y, x = pixel_coordinates(image.shape)
    light = model(x, y)
    weights = pixel_weights(image, mask, options["taper"])
    quality = statistics(model, image, mask, weights)
    units = dict.fromkeys(("dx", "dy", "fwhm"), u.arcsec) | {"bg": image.unit}
    values = fitted_values(model, quality, units)
    offset_covariance = covariance_of(("dx", "dy"), quality.covariance, quality.free)
    values |= sky_offsets(values["dx"], values["dy"], offset_covariance, image.wcs, image.shape)

    def as_image(data):
        return CCDData(data, mask=mask, unit=image.unit, wcs=image.wcs)

    return FittedImagePhotometry(
        name=name,
        method="image",
        values={key: values[key] for key in (*PARAMETERS, "dra", "ddec")},
        n_evaluations=int(fit_info.get("nfev", 0)),
        converged=bool(fit_info.get("success", True)),
        options=options,
        fitted_model=model,
        data=as_image(image.data),
        model=as_image(light),
        residual=as_image(image.data - light),
        weights=weights,
        objects=objects,
        **vars(quality),
    )
