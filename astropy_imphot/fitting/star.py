"""Fit of one star, in the MUSE image and in the HST image."""

from dataclasses import replace

import astropy.units as u
import numpy as np
from astropy.modeling.models import Const2D
from astropy.nddata import CCDData

from astropy_imphot.calibration.units import read_muse_image
from astropy_imphot.fitting.image import fit_image
from astropy_imphot.fitting.options import ImageFitOptions, StarFitOptions, takes_options
from astropy_imphot.fitting.plausible import implausible
from astropy_imphot.fitting.solve import solve
from astropy_imphot.fitting.star_in_hst import (
    NEIGHBORS,
    brightest_star,
    check_pixels,
    fit_hst_star,
    hst_around_star,
)
from astropy_imphot.fitting.statistics import (
    pixel_coordinates,
)
from astropy_imphot.io.files import Source, naming, short_name
from astropy_imphot.io.grid import image_grids_aligned, read_grid
from astropy_imphot.masking.masks import exclusion_mask, star_mask
from astropy_imphot.masking.stars import star_circle
from astropy_imphot.models.convolved_template import template_model
from astropy_imphot.models.point_source import PointSources, point_source_model
from astropy_imphot.psf.moffat import MOFFAT
from astropy_imphot.psf.shape import CircularPsf
from astropy_imphot.reference.image import HstReference
from astropy_imphot.reference.regrid import make_template
from astropy_imphot.results.flags import at_bound, basic_flags
from astropy_imphot.results.offsets import sky_offsets
from astropy_imphot.results.star import FittedStarPhotometry, StarFit
from astropy_imphot.results.values import FittedValue, covariance_of, fitted_values

__all__ = ["fit_image_and_star", "fit_image_and_star_photometry", "fit_star", "fit_star_photometry"]


@takes_options(StarFitOptions)
def fit_star_photometry(hst, muse, star, *, name=None, **keywords):
    """
    Fit the PSF, flux scale, background and offset of a MUSE image to one star.

    Parameters
    ----------
    hst : str, path, HDU, HDUList, `~astropy.nddata.NDData` or `HstTemplate`
        The HST image at its own pixels. A regridded image is used on the MUSE grid, with a warning: after
        its decimation filter the star has no Moffat profile, and the scale is several percent off.
    muse : str, path, HDU, HDUList or `~astropy.nddata.NDData`
        The MUSE image, of shape (ny, nx).
    star : tuple or `~regions.CircleSkyRegion`
        Right ascension and declination (degrees) and the radius (arcsec) within which pixels are
        fitted; or a `~astropy.coordinates.SkyCoord` and the radius; or the circle. The star can have moved
        between the images by up to half of the radius.
    regions : str, path, `~regions.Region`, `~regions.Regions`, or sequence of str or Region, optional
        ds9 regions of the MUSE image to fit or, with a leading minus, to mask. By default
        (None) all pixels around the star are fitted, and with ``"star"`` and ``"notstar"`` as well.
    segment : bool
        Fit only the detected objects and their surroundings in the MUSE image (default: False).
    extramask : bool array of shape (ny, nx), str, path, HDU or HDUList, optional
        Not 0 where a pixel of the MUSE image is masked. By default (None) there is no such mask.
    fix_scale, fix_bg, fix_dx, fix_dy, fix_fwhm, fix_beta, fix_rotation, fix_e1, fix_e2 : float or \
`~astropy.units.Quantity`, optional
        Values at which parameters are held, as for `fit_image_photometry`. By default
        (None) all are fitted, but for the rotation, which is 0.
    psf : `~astropy_imphot.psf.shape.PsfShape`
        The shape of the MUSE PSF (default: a Moffat function). Parameters of another shape are held by
        ``fix_`` and their names.
    taper : float or `~astropy.units.Quantity`
        Reduce the weights of pixels that are closer than this to a masked one, pixels of either
        image (default: 0, none).
    fitter : `~astropy.modeling.fitting.Fitter`, optional
        By default (None) a `~astropy.modeling.fitting.TRFLSQFitter`.
    name : str, optional
        Name of the image in the result. By default (None) the stem of its file.

    Returns
    -------
    FittedStarPhotometry
        PSF: the MUSE image's; scale: ratio of the fluxes; bg: difference of the
        backgrounds; dx and dy: difference of the positions, MUSE - HST.

    Raises
    ------
    UserError
        If an image cannot be read, the star is outside of it or has too few valid pixels,
        or an option has an impossible value.

    Notes
    -----
    In the HST image the star is fitted by `MoffatStar2D`, at that image's pixels. In the MUSE image it is a
    point source of `ConvolvedTemplate2D`, whose template are its neighbors in the HST image. In both it is
    the effective PSF, the response of the pixels included. The errors include those of both fits, for
    correlated noise, see `~astropy_imphot.noise.covariance.sandwich_covariance`.

    Examples
    --------
    >>> from astropy_imphot import fit_star_photometry
    >>> from astropy_imphot.simulation import CENTER, Truth, simulate_field
    >>> field = simulate_field(seed=1, size=12.0, truth=[Truth(dx=0.1)], central_star=20.0)
    >>> star = (CENTER.ra.deg, CENTER.dec.deg, 2.0)
    >>> fit = fit_star_photometry(field.hst, field.muse[0], star)
    >>> bool(abs(fit.dx.value - 0.1) < 4 * fit.dx.stdev)
    True
    """
    options = StarFitOptions.from_keywords("fit_star_photometry", keywords)
    return fit_star(hst, muse, star_circle(star), options, name)


def fit_star(hst, muse, star, options, name=None):
    """
    Fit the PSF, flux scale, background and offset of a star, with the options as an object.

    Parameters
    ----------
    hst, muse
        As for `fit_star_photometry`.
    star : (float, float, float)
        As from `~astropy_imphot.masking.stars.star_circle`.
    options : StarFitOptions
        Its keywords.
    name
        As for `fit_star_photometry`.

    Returns
    -------
    FittedStarPhotometry
        As from `fit_star_photometry`.

    Examples
    --------
    See `fit_star_photometry`.
    """
    with naming(muse), Source.of(hst) as hst:
        image = read_muse_image(muse)
        regions = options.regions
        area = None if isinstance(regions, str) and regions in ("star", "notstar") else regions
        mask = exclusion_mask(image, regions=area, segment=options.segment, extramask=options.extramask)
        mask |= ~star_mask(star, image)
        check_pixels(mask)
        with naming(hst):
            hst_image = hst_around_star(hst, star, image)
            hst_fit = fit_hst_star(hst_image, star, options)
        box = tuple(slice(used.min(), used.max() + 1) for used in np.nonzero(~mask))
        around = image[box]
        solution = solve(
            _model(hst_image, hst_fit, image, box, mask, options),
            around,
            mask[box],
            taper=options.taper,
            fitter=options.fitter,
            background="constant",
            keep_changed=True,
            tied=True,
        )
        return _result(hst_fit, solution, image, box, options, name or short_name(muse))


@takes_options(ImageFitOptions)
def fit_image_and_star_photometry(hst, muse, star, *, name=None, **keywords):
    """
    Fit a MUSE image by the whole HST image, and by one star.

    Parameters
    ----------
    hst : str, path, HDU, HDUList, `~astropy.nddata.NDData`, `HstTemplate` or `HstReference`
        The HST image, as for `fit_image_photometry`; at its own pixels, as for `fit_star_photometry`.
    muse : str, path, HDU, HDUList or `~astropy.nddata.NDData`
        The MUSE image, of shape (ny, nx).
    star : tuple or `~regions.CircleSkyRegion`
        As for `fit_star_photometry`.
    name : str, optional
        Name of the image in the results. By default (None) the stem of its file.
    **options
        For `fit_image_photometry` and, where it takes them too, `fit_star_photometry`.

    Returns
    -------
    image_fit : FittedImagePhotometry
        As from `fit_image_photometry`.
    star_fit : FittedStarPhotometry
        As from `fit_star_photometry`.

    Raises
    ------
    UserError
        If one of the fits raises it: an image cannot be read, no pixels are left to fit, or an option
        has an impossible value.

    Examples
    --------
    >>> from astropy_imphot import fit_image_and_star_photometry
    >>> from astropy_imphot.simulation import CENTER, simulate_field
    >>> field = simulate_field(seed=1, size=12.0, central_star=20.0)
    >>> star = (CENTER.ra.deg, CENTER.dec.deg, 2.0)
    >>> fits = fit_image_and_star_photometry(field.hst, field.muse[0], star, regions="notstar")
    >>> [fit.method for fit in fits]
    ['image', 'stars']
    """
    options = ImageFitOptions.from_keywords("fit_image_and_star_photometry", keywords | {"star": star})
    return fit_image_and_star(hst, muse, options, name)


def fit_image_and_star(hst, muse, options, name=None):
    """
    Fit an image and a star, with the options as an object.

    Parameters
    ----------
    hst, muse
        As for `fit_image_and_star_photometry`.
    options : ImageFitOptions
        Its keywords, with the star.
    name
        As for `fit_image_and_star_photometry`.

    Returns
    -------
    image_fit : FittedImagePhotometry
        As from `fit_image_and_star_photometry`.
    star_fit : FittedStarPhotometry
        As from `fit_image_and_star_photometry`.

    Examples
    --------
    See `fit_image_and_star_photometry`.
    """
    with HstReference.of(hst).opened() as reference, Source.of(muse) as muse:
        image_fit = fit_image(reference, muse, options, name)
        return image_fit, fit_star(reference.source, muse, options.star, options.for_star(), name)


def _model(hst_image, hst_fit, image, box, mask, options):
    """Return the model of the MUSE image around the star: the star, and what else the HST image shows."""
    star = {key: value.value for key, value in hst_fit.values.items()}
    around, mask = image[box], mask[box]
    y, x = pixel_coordinates(hst_image.shape)
    rest = hst_image.copy()
    rest.data = hst_image.data - hst_fit.fitted_model(x, y) + star["bg"]
    window = None
    if image_grids_aligned(hst_image, image):
        rest, window = rest[box], hst_image.meta.get("DECIMWIN", "none")
    template = make_template(rest, around, margin=NEIGHBORS - 1.0, hst_window=window).in_unit(around.unit)
    # What HST did not observe can have no neighbors.
    template = replace(template, missing=None)
    place = around.wcs.world_to_pixel(hst_image.wcs.pixel_to_world(star["x_0"], star["y_0"]))
    x, y = (np.array([float(one)]) for one in place)
    sources = PointSources(
        x=x,
        y=y,
        flux=np.array([star["flux"]]),
        flux_err=np.zeros(1),
        saturated=np.zeros(1, dtype=bool),
        reach=np.full(1, np.inf),
    )
    height, width = template.pixel_scale
    start = {row.name: row.default_for(template.pixel_scale) for row in options.psf.parameters}
    brightest = brightest_star(
        around, mask, tuple(row.default_for(template.pixel_scale) for row in MOFFAT.parameters)
    )
    start |= {
        "dx": (brightest.x_0.value - x[0]) * width,
        "dy": (brightest.y_0.value - y[0]) * height,
        "scale": brightest.flux.value / star["flux"],
    }
    psf = CircularPsf(MOFFAT, {"fwhm": star["fwhm"] * hst_fit.pixel_scale, "beta": star["beta"]})
    model = template_model(options.psf)(template, hst_psf=psf, **(start | options.fixed))
    for key in options.fixed:
        model.fixed[key] = True
    # The star is not at the center of the image, about which it would be rotated.
    model.fixed["rotation"] = True
    return model.with_sources(sources)


def _result(hst_fit, solution, image, box, options, name):
    model, quality, unit = solution.model, solution.quality, image.unit
    units = {key: info.unit_for(unit) for key, info in model.infos.items()}
    values = fitted_values(model, quality, units)
    values = {
        key: value for key, value in values.items() if not model.infos[key].on_demand and key != "rotation"
    }
    area = model.template.grid.pixel_area / hst_fit.grid.pixel_area
    of_hst = _hst_part(hst_fit, image, values["scale"].value)
    covariances = {
        kind: getattr(quality, kind) + of_hst(quality.free, kind)
        for kind in ("covariance", "naive_covariance")
    }
    errors = dict(zip(quality.free, np.sqrt(np.diag(covariances["covariance"])), strict=True))
    values = {key: replace(value, stdev=float(errors.get(key, 0.0))) for key, value in values.items()}
    offsets = covariance_of(("dx", "dy"), covariances["covariance"], quality.free)
    values |= sky_offsets(values["dx"], values["dy"], offsets, image)
    muse_fit = _muse_fit(hst_fit, solution, image, box, area)
    for instrument, fit in (("muse", muse_fit), ("hst", hst_fit)):
        values |= fit.sky_values(instrument)
    converged = solution.converged and hst_fit.converged
    flags = basic_flags(
        values,
        quality.free,
        covariances["covariance"],
        psf=model.psf,
        converged=converged,
        bounded=at_bound(model) or at_bound(hst_fit.fitted_model),
        n_pixels=quality.n_pixels,
    ) | implausible(values["scale"].value, image.meta, model.template.meta)
    return FittedStarPhotometry(
        name=name,
        method="stars",
        psf=model.psf,
        values=values,
        **covariances,
        free=quality.free,
        rms_error=quality.rms_error,
        rchi=quality.rchi,
        n_pixels=quality.n_pixels,
        n_evaluations=solution.n_evaluations + hst_fit.n_evaluations,
        converged=converged,
        flags=flags,
        options=options,
        hst_fit=hst_fit,
        muse_fit=muse_fit,
    )


def _muse_fit(hst_fit, solution, image, box, area):
    """Return the star in the MUSE image, without the light of its neighbors."""
    model, quality = solution.model, solution.quality
    y, x = pixel_coordinates(solution.light.shape)
    neighbors = model.scale.value * model.template_light(x, y)
    hst = {key: value.value for key, value in hst_fit.values.items()}
    height, width = model.template.pixel_scale
    size = float(np.sqrt(height * width))
    background = model.bg.value + model.scale.value * hst["bg"] * area
    right, up = (float(one[0]) for one in model.source_places())
    place = {"x_0": right + box[1].start, "y_0": up + box[0].start}
    shape = {key: getattr(model, key).value for key in (*model.psf.names, "e1", "e2")}
    star = point_source_model(model.psf)(
        flux=model.scale.value * hst["flux"], pixel_scale=(height, width), **place, **shape
    )
    # In terms of the star: its names, and the factors of the errors.
    terms = {
        "flux": ("scale", star.flux.value, hst["flux"], image.unit),
        "x_0": ("dx", place["x_0"], 1 / width, u.pix),
        "y_0": ("dy", place["y_0"], 1 / height, u.pix),
        "bg": ("bg", background, 1.0, image.unit),
        "fwhm": ("fwhm", model.fwhm.value / size, 1 / size, u.pix),
    }
    terms |= {
        key: (key, shape[key], 1.0, u.dimensionless_unscaled) for key in model.psf.names if key != "fwhm"
    }
    variances = dict(zip(quality.free, np.diag(quality.covariance), strict=True))
    values = {
        key: FittedValue(
            float(value), float(factor * np.sqrt(variances.get(name, 0.0))), name not in variances, unit
        )
        for key, (name, value, factor, unit) in terms.items()
    }
    rows, columns = box
    of_box = image[box]
    return StarFit(
        pixel_scale=size,
        values=values,
        fitted_model=star + Const2D(background),
        data=CCDData(
            of_box.data - neighbors + background - model.bg.value,
            mask=solution.mask,
            unit=image.unit,
            wcs=of_box.wcs,
        ),
        model=CCDData(
            solution.light - neighbors + background - model.bg.value,
            mask=solution.mask,
            unit=image.unit,
            wcs=of_box.wcs,
        ),
        weights=solution.weights,
        quality=quality,
        n_evaluations=solution.n_evaluations,
        converged=solution.converged,
        origin=(columns.start, rows.start),
        grid=read_grid(image),
    )


def _hst_part(hst_fit, image, scale):
    """Return a function for the covariance that the errors of the star in the HST image add."""
    keys = ("flux", "x_0", "y_0")
    size = np.sqrt(np.prod(read_grid(image).pixel_scale))
    effect = np.zeros((3, 3))
    effect[0, 0] = -scale / hst_fit.values["flux"].value
    effect[1:, 1:] = -size * _pixels_per_pixel(hst_fit, read_grid(image).wcs)

    def part(free, kind):
        rows = np.zeros((len(free), 3))
        for place, key in enumerate(("scale", "dx", "dy")):
            if key in free:
                rows[free.index(key)] = effect[place]
        return rows @ hst_fit.full_covariance(keys, kind) @ rows.T

    return part


def _pixels_per_pixel(hst_fit, wcs):
    """Return the derivatives of the MUSE pixel coordinates by the HST pixel coordinates, at the star."""
    x, y = hst_fit.values["x_0"].value, hst_fit.values["y_0"].value
    sky = hst_fit.grid.wcs.pixel_to_world(x + np.array([0.5, -0.5, 0, 0]), y + np.array([0, 0, 0.5, -0.5]))
    there = np.array(wcs.world_to_pixel(sky))
    return np.column_stack([there[:, 0] - there[:, 1], there[:, 2] - there[:, 3]])
