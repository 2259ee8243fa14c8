"""Fit of a whole MUSE image by the HST image of the same sky."""

import numpy as np
from astropy.nddata import CCDData

from astropy_imphot.calibration.units import read_muse_image
from astropy_imphot.fitting.background import most_modes
from astropy_imphot.fitting.image_flags import image_flags
from astropy_imphot.fitting.options import ImageFitOptions, takes_options
from astropy_imphot.fitting.plausible import implausible
from astropy_imphot.fitting.resolution import common_smoothing, smoothed_image
from astropy_imphot.fitting.solve import solve
from astropy_imphot.fitting.source_table import source_table, years_between
from astropy_imphot.fitting.start import SEARCH_RADIUS, coarser_image, coarser_template, find_offset
from astropy_imphot.io.errors import UserError
from astropy_imphot.io.files import naming, short_name
from astropy_imphot.io.grid import image_grids_aligned, read_grid
from astropy_imphot.masking.masks import exclusion_mask
from astropy_imphot.models.convolved_template import template_model
from astropy_imphot.reference.image import HstReference
from astropy_imphot.reference.template import HstTemplate
from astropy_imphot.results.flags import FitFlags, combined
from astropy_imphot.results.image import FittedImagePhotometry
from astropy_imphot.results.offsets import sky_offsets
from astropy_imphot.results.values import covariance_of, fitted_values

__all__ = ["fit_image", "fit_image_photometry"]


# The template's margin is widened by the offset if that is larger than this, arcsec.
SMALL_OFFSET = 1.0


@takes_options(ImageFitOptions)
def fit_image_photometry(hst, muse, *, name=None, **keywords):
    """
    Fit the PSF, flux scale, background and offset of a MUSE image to an HST image.

    Parameters
    ----------
    hst : str, path, HDU, HDUList, `~astropy.nddata.NDData`, `HstTemplate` or `HstReference`
        The HST image: at its own pixels, or regridded by ``regrid_hst_to_muse``, or a template
        from `make_template` for this MUSE image, or an `HstReference`, which keeps its templates.
    muse : str, path, HDU, HDUList or `~astropy.nddata.NDData`
        The MUSE image, of shape (ny, nx). Its variances weight the pixels. Only their
        ratios matter: the noise level is measured on the residuals.
    regions : str, path, `~regions.Region`, `~regions.Regions`, or sequence of str or Region, optional
        ds9 regions of the MUSE image to fit or, with a leading minus, to mask; or
        ``"star"`` or ``"notstar"``, to fit only the star or all but the star. By default (None)
        the whole image is fitted.
    star : tuple or `~regions.CircleSkyRegion`, optional
        The star for ``regions``: right ascension and declination (degrees) and radius (arcsec), or a
        `~astropy.coordinates.SkyCoord` and the radius, or a circle. By default (None) there is none.
    segment : bool
        Fit only the detected objects and their surroundings (default: False).
    extramask : bool array of shape (ny, nx), str, path, HDU or HDUList, optional
        Not 0 where a pixel is masked. By default (None) there is no such mask.
    fix_scale, fix_bg, fix_dx, fix_dy, fix_fwhm, fix_beta, fix_rotation, fix_e1, fix_e2 : float or \
`~astropy.units.Quantity`, optional
        Values at which parameters are held (bg in 1e-20 erg/s/cm2/Angstrom; dx, dy and
        fwhm in arcsec; rotation in degrees). By default (None) all are fitted.
    psf : `~astropy_imphot.psf.shape.PsfShape`
        The shape of the MUSE PSF (default: a Moffat function). Parameters of another shape are held by
        ``fix_`` and their names.
    hst_fwhm, hst_beta : float or `~astropy.units.Quantity`, optional
        The Moffat PSF of the HST image, FWHM in arcsec. By default (None) that of its camera, see
        ``astropy_imphot.io.reference_kinds.KINDS``: of ACS, and of images whose camera is not named, 0.085
        and 1.6.
    hst_psf : str, path, HDU, HDUList, `~astropy.nddata.NDData`, array or `~photutils.psf.ImagePSF`, optional
        The PSF of the HST image as an image along its pixel axes, response of the pixels included,
        such as `~astropy_imphot.build_hst_psf` makes; see
        `~astropy_imphot.read_hst_psf`. By default (None) it is the Moffat function.
    hst_psf_scale : float or `~astropy.units.Quantity`, optional
        Size of its pixels, arcsec. By default (None) from its WCS or its keyword PIXSCALE.
    hst_window : {"blackman", "none"}, optional
        The decimation filter of an HST image that is on the MUSE grid and does not
        record it, such as one of the classic imphot (``"blackman"``). By default (None) what the
        image's header records.
    margin : float or `~astropy.units.Quantity`
        How far around the MUSE image the HST image is used, arcsec (default: 3). A file of
        ``regrid_hst_to_muse`` and a template keep the margin that they were made with.
    init_dx, init_dy : float or `~astropy.units.Quantity`, optional
        Offset at the start of the fit, arcsec. By default (None) that of the largest cross-correlation of
        the images, up to 15 arcsec along each axis.
    min_scale : float or `~astropy.units.Quantity`, optional
        A lower limit of the flux scale. By default (None) there is none.
    free : sequence of str
        Parameters of `ConvolvedTemplate2D` to fit that are otherwise held at 0: bg_x and bg_y; and those
        that have a prior of 0 without it: rotation, e1 and e2 (default: none).
    taper : float or `~astropy.units.Quantity`
        Reduce the weights of pixels that are closer than this to a masked one, pixels
        (default: 0, none).
    background : {"auto", "constant"}, int or `~astropy.units.Quantity`
        The background: a constant; or smooth modes, up to a number of half periods along each axis, or
        down to a period; or as many modes as the residuals contain, down to a period of 10 arcsec (default:
        "auto").
    repair : bool
        Repair cosmic rays and hot pixels of the HST image (default: True). Small holes are interpolated
        in any case.
    point_sources, not_point_sources : `~astropy.coordinates.SkyCoord`, `~astropy.table.Table`, \
`~regions.Regions`, path or sequence of (float, float), optional
        Places of point sources of the HST image in addition to those that are found, and places of those
        that are found and are none: as `~astropy_imphot.masking.places.sky_places` reads them. By default
        (None) there are none.
    keep_changed : bool
        Keep the pixels of objects that are in one of the images only. By default (False) they are
        fitted as point sources, and masked if they do not fit as such.
    fitter : `~astropy.modeling.fitting.Fitter`, optional
        By default (None) a `~astropy.modeling.fitting.TRFLSQFitter`.
    name : str, optional
        Name of the image in the result. By default (None) the stem of its file.

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
    The model is `ConvolvedTemplate2D`, fitted to the pixels of the MUSE image. MUSE
    pixels with more than 1 % of their light from pixels that HST did not observe are masked. The errors
    follow from the autocorrelation of the residuals, see
    `~astropy_imphot.noise.covariance.sandwich_covariance`.

    The noise of the HST image would make the PSF too wide and the scale too small. It is measured on the sky
    at the HST image's own pixels, and corrected for, see
    `~astropy_imphot.noise.reference.template_noise`. For an image that is already on the MUSE
    grid it is taken from the variances. The result's ``flags`` mark doubtful fits.

    Examples
    --------
    >>> from astropy_imphot import fit_image_photometry
    >>> from astropy_imphot.simulation import Truth, simulate_field
    >>> field = simulate_field(seed=1, size=20.0, truth=[Truth(dx=0.1, scale=0.95)])
    >>> fit = fit_image_photometry(field.hst, field.muse[0])
    >>> bool(abs(fit.dx.value - 0.1) < 4 * fit.dx.stdev)
    True
    """
    options = ImageFitOptions.from_keywords("fit_image_photometry", keywords)
    return fit_image(hst, muse, options, name)


def fit_image(hst, muse, options, name=None):
    """
    Fit the PSF, flux scale, background and offset of a MUSE image, with its options as an object.

    Parameters
    ----------
    hst, muse
        As for `fit_image_photometry`.
    options : ImageFitOptions
        Its keywords.
    name
        As for `fit_image_photometry`.

    Returns
    -------
    FittedImagePhotometry
        As from `fit_image_photometry`.

    Examples
    --------
    See `fit_image_photometry`.
    """
    reference = HstReference.of(hst)
    hst = reference.source
    with naming(muse), reference.opened() as reference:
        options = options.loaded().for_reference(reference.source)
        image = read_muse_image(muse)
        mask = exclusion_mask(
            image,
            regions=options.regions,
            star=options.star,
            segment=options.segment,
            extramask=options.extramask,
        )
        template, offset, clear = _template_and_offset(reference, image, mask, options)
        model = _start(template, offset, options)
        image, mask = smoothed_image(image, mask, model.smoothing)
        with naming(hst):
            solution = solve(
                model,
                image,
                mask,
                taper=options.taper,
                fitter=options.fitter,
                background=_modes(options.background, image),
                keep_changed=options.keep_changed,
            )
        return _result(solution, image, name or short_name(muse), options, clear)


def _start(template, offset, options):
    """Return the model at the start of the fit."""
    start = {row.name: row.default_for(template.pixel_scale) for row in options.psf.parameters}
    start |= dict(zip(("dx", "dy"), offset, strict=True)) | options.fixed
    psf = options.reference_psf
    smoothing = common_smoothing(psf, template.pixel_scale)
    model = template_model(options.psf)(template, hst_psf=psf, smoothing=smoothing, **start)
    for key in (*options.fixed, *options.free):
        model.fixed[key] = key in options.fixed
        if key in options.free:
            model.has_prior[key] = False
    if options.min_scale is not None:
        model.scale.min = options.min_scale
    if template.sources is None or not len(template.sources):
        return model
    return model.with_sources(template.sources)


def _modes(background, image):
    """Return the numbers of half periods of the background's modes along y and x, or "auto"."""
    if background == "auto":
        return background
    if isinstance(background, float):
        return most_modes(image.shape, read_grid(image).pixel_scale, background)
    return (0, 0) if background == "constant" else (background, background)


def _template_and_offset(reference, image, mask, options):
    """Return the template, with its margin, the offset at the start of the fit, and whether that is clear."""
    clear = True
    hst, template, margin = reference.source, None, options.margin
    known = tuple(options.fixed.get(key, getattr(options, f"init_{key}")) for key in ("dx", "dy"))
    if isinstance(hst, HstTemplate):
        if not image_grids_aligned(hst.grid, image):
            raise UserError(
                "the template is on the grid of another MUSE image: make one for this image by make_template."
            )
        template = hst.in_unit(image.unit)
    elif image_grids_aligned(hst, image):
        template = reference.template(image, margin=margin, hst_window=options.hst_window).in_unit(image.unit)
    if None in known:
        small, small_mask = coarser_image(image, mask)
        if template is None:
            sky = reference.coarse_template(small, margin=SEARCH_RADIUS)
        else:
            sky = coarser_template(template, small)
        known, clear = find_offset(sky, small, small_mask, known)
    if template is None:
        reach = max(abs(known[0]), abs(known[1]))
        widened = margin + reach if reach > SMALL_OFFSET else margin
        template = reference.template(image, margin=widened, **options.preparation).in_unit(image.unit)
    return template, known, clear


def _result(solution, image, name, options, clear):
    model, mask, quality = solution.model, solution.mask, solution.quality
    light = solution.light
    units = {key: info.unit_for(image.unit) for key, info in model.infos.items()}
    values = fitted_values(model, quality, units)
    offset_covariance = covariance_of(("dx", "dy"), quality.covariance, quality.free)
    values |= sky_offsets(values["dx"], values["dy"], offset_covariance, image)
    years = years_between(model.template.meta, image.meta)

    def as_image(data):
        return CCDData(data, mask=mask, unit=image.unit, wcs=image.wcs)

    return FittedImagePhotometry(
        name=name,
        method="image",
        psf=model.psf,
        values={
            key: value
            for key, value in values.items()
            if key in options.free or key not in model.infos or not model.infos[key].on_demand
        },
        n_evaluations=solution.n_evaluations,
        converged=solution.converged,
        flags=image_flags(solution, values, image)
        | combined({FitFlags.NO_MATCH: not clear})
        | implausible(values["scale"].value, image.meta, model.template.meta),
        options=options,
        fitted_model=model.without_results(),
        data=as_image(image.data),
        model=as_image(light),
        residual=as_image(image.data - light),
        weights=solution.weights,
        background=as_image(solution.background),
        background_modes=solution.modes,
        influence=solution.influence.astype(np.float32),
        prior_covariance=solution.prior_covariance,
        objects=solution.objects,
        labels=solution.labels,
        point_sources=source_table(model, solution.source_errors, solution.in_reference, image, years),
        repairs=model.template.repairs,
        sizes=solution.sizes,
        **vars(quality),
    )
