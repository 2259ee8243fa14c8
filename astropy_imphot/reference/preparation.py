"""The reference image before it is sampled for a model: repaired, and without its point sources."""

from dataclasses import dataclass

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from astropy.wcs import WCS
from astropy.wcs.utils import pixel_to_pixel

from astropy_imphot.io.errors import UserError
from astropy_imphot.io.filling import filled
from astropy_imphot.masking.places import sky_places
from astropy_imphot.models.point_source import PointSources
from astropy_imphot.psf.mean_profile import RadialPsf
from astropy_imphot.reference.point_sources import LARGEST_FWHM, find_point_sources, saturated_pixels
from astropy_imphot.reference.removal import remove_point_sources
from astropy_imphot.reference.repair import fill_holes, repair_image, repair_peaks

__all__ = ["NOTHING_VALID", "Prepared", "prepare"]

NOTHING_VALID = "the HST image has no valid pixel within the MUSE field: check its mask and weights."

# Images without a higher value are in double precision, in any unit.
SMALL = 1e-10

# How far the light of a point source is computed in a MUSE image: to where the surface brightness of a MUSE
# PSF is below this fraction of 1e-20 erg/s/cm2/Angstrom per square arcsec, arcsec.
REACHES = (3.0, 15.0)


@dataclass(frozen=True, eq=False)
class Prepared:
    """
    A reference image that is ready to be sampled.

    Attributes
    ----------
    data : array of shape (ny, nx)
        The image, finite everywhere.
    observed : bool array of shape (ny, nx)
        True where it was observed or filled.
    wcs : `~astropy.wcs.WCS`
        Its WCS.
    sources : dict of str to array of shape (n,), or None
        x, y (pixels of the image), flux, flux_err and saturated of the sources that were taken out; None if
        they were not looked for.
    repairs : `~astropy.table.QTable` or None
        What was repaired; None if nothing was looked for.
    """

    data: np.ndarray
    observed: np.ndarray
    wcs: WCS
    sources: dict | None
    repairs: QTable | None

    def sources_on(self, grid, factor):
        """Return the `PointSources` on a MUSE grid, their fluxes multiplied by a factor."""
        if self.sources is None:
            return None
        if not len(self.sources["x"]):
            return PointSources.none()
        x, y = pixel_to_pixel(self.wcs, grid.wcs, self.sources["x"], self.sources["y"])
        flux, error = factor * self.sources["flux"], factor * self.sources["flux_err"]
        # The profile of a Moffat function of beta 2.5 falls with the fifth power of the radius.
        reach = np.clip(REACHES[0] * (np.maximum(flux, 1e-3) / 5) ** 0.2, *REACHES)
        near = (
            np.hypot(
                *(
                    np.maximum(np.maximum(-place, place - size + 1), 0) * scale
                    for place, size, scale in zip((y, x), grid.shape, grid.pixel_scale, strict=True)
                )
            )
            < reach
        )
        sources = PointSources(
            x=x, y=y, flux=flux, flux_err=error, saturated=self.sources["saturated"], reach=reach
        )
        return sources.chosen(near)


def prepare(
    image,
    unobserved,
    pixel_scale,
    *,
    psf=None,
    repair=False,
    fill=False,
    point_sources=None,
    not_point_sources=None,
    largest_fwhm=LARGEST_FWHM,
):
    """
    Repair a reference image, and take its point sources out.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        The image, of shape (ny, nx).
    unobserved : bool array of shape (ny, nx)
        True where it was not observed.
    pixel_scale : (float, float)
        Height and width of a pixel, arcsec.
    psf : `~astropy_imphot.psf.shape.CircularPsf` or `~astropy_imphot.psf.images.HstPsf`, optional
        Its PSF. By default (None) artefacts and point sources are not looked for.
    repair : bool
        Whether artefacts and small holes are repaired (default: False).
    fill : bool
        Whether small holes are, without ``repair`` (default: False).
    point_sources, not_point_sources
        As for `~astropy_imphot.make_template`.
    largest_fwhm : float
        The FWHM of the PSF, arcsec, up to which point sources are searched (default: 0.2).

    Returns
    -------
    Prepared
        The image.

    Examples
    --------
    See `~astropy_imphot.make_template`, which uses it.
    """
    observed = ~unobserved
    if not observed.any():
        raise UserError(NOTHING_VALID)
    data = filled(image.data, observed)
    # Integers have no fractions. Single precision, mostly that of the image, is sufficient, but squares of
    # fluxes in erg/s/cm2/Angstrom are too small for it.
    data = data.astype(float if data.max() < SMALL else np.result_type(data, np.float32), copy=False)
    if psf is None:
        if fill:
            data, observed, _ = fill_holes(data, observed)
        return Prepared(data, observed, image.wcs, None, None)
    profile = RadialPsf(psf, max(pixel_scale))
    observed &= ~saturated_pixels(data, observed, profile, pixel_scale)
    repairs = None
    if repair:
        data, observed, repairs = repair_image(data, observed, profile, pixel_scale, image.wcs)
    elif fill:
        data, observed, _ = fill_holes(data, observed)
    added, removed = (_pixels(sky_places(places), image) for places in (point_sources, not_point_sources))
    sources = find_point_sources(
        data, observed, profile, pixel_scale, added=added, removed=removed, largest_fwhm=largest_fwhm
    )
    artefacts = sources.pop("artefact")
    if repair and artefacts.any():
        where = {key: column[artefacts] for key, column in sources.items()}
        data, repairs = repair_peaks(data, observed, where, pixel_scale, repairs, image.wcs)
    if repair or profile.fwhm > largest_fwhm:
        sources = {key: column[~artefacts] for key, column in sources.items()}
    data, observed, sources = remove_point_sources(
        data, observed, sources, profile, pixel_scale, largest_fwhm=largest_fwhm
    )
    return Prepared(data, observed, image.wcs, sources, repairs)


def _pixels(places, image):
    """Return rows and columns of places that are in an image, an array of shape (n, 2)."""
    if not places:
        return np.zeros((0, 2))
    columns, rows = image.wcs.world_to_pixel(SkyCoord(places, unit="deg"))
    inside = (rows > 0) & (rows < image.shape[0] - 1) & (columns > 0) & (columns < image.shape[1] - 1)
    return np.column_stack([rows, columns])[inside]
