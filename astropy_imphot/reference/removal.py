"""Point sources of the reference image are taken out of it, and their cores are filled."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from astropy_imphot.reference.point_sources import FIT_RADIUS, LARGEST_CORE, LARGEST_FWHM, sky_level

__all__ = ["remove_point_sources"]

# The PSF of the image differs from the given one by up to this fraction at each radius, and that of a single
# star from the mean by this one.
MISMATCH = 0.8
VARIATION = 0.1

# The mismatch is measured in rings of this width, arcsec. A star counts as much as its light exceeds that of
# galaxies, a percentile of the image, and up to so many times the given PSF.
RING = 0.03
BRIGHT = 99.5
LARGEST_WEIGHT = 3.0

# The difference from the PSF counts to the flux up to this radius, arcsec; beyond, neighbors have more. It is
# known to this fraction.
COUNTED = 0.6
COUNTED_ERROR = 0.5

# The light of a star is removed to where it is below this fraction of the noise in a pixel; arcsec.
NEGLIGIBLE = 0.05
LARGEST_RADIUS = 15.0

# A point source has a host if the light in a ring (arcsec) exceeds that of the PSF by this fraction; by more
# than in most point sources, if there are at least so many. Then the host keeps its light outside of the
# core, arcsec.
HOST_RING = (0.25, 0.6)
HOST_EXCESS = 0.3
LEAST_STARS = 3
HOST_CORE = 0.06

# The flux of the point source contains up to this fraction of the light of its host where the PSF is fitted.
HOST_ERROR = 0.07

# The core that is replaced by its surroundings: where the variation of the PSF is above this many standard
# deviations.
CORE_SIGMA = 2.0

# The width of the surroundings, arcsec.
SURROUNDINGS = 0.2


def remove_point_sources(data, observed, sources, psf, pixel_scale, *, largest_fwhm=LARGEST_FWHM):
    """
    Remove point sources from an image, and fill their saturated cores.

    Parameters
    ----------
    data, observed
        As for `find_point_sources`.
    sources : dict of str to array of shape (n,)
        From `find_point_sources`.
    psf, pixel_scale, largest_fwhm
        As for `find_point_sources`.

    Returns
    -------
    data : array of shape (ny, nx)
        The image without the sources.
    observed : bool array of shape (ny, nx)
        True also where a core was filled.
    sources : dict of str to array of shape (n,)
        The sources, with the flux that was removed.

    Notes
    -----
    The PSF is subtracted, and then what all stars have in common in rings: the mismatch of the PSF, which is
    not known exactly. The core, where the rest can be larger than the noise, is replaced by the level around
    it.

    Examples
    --------
    See `make_template`, which uses it.
    """
    data, observed = data.copy(), observed.copy()
    if not len(sources["flux"]):
        return data, observed, sources
    sky, noise = sky_level(data, observed)
    # The surroundings of a star in an image that is not sharp are galaxies, not its PSF.
    is_sharp = psf.fwhm <= largest_fwhm
    stars = [
        _star(data.shape, psf, pixel_scale, noise, *one)
        for one in zip(*(sources[key] for key in ("x", "y", "flux", "saturated")), strict=True)
    ]
    for star in stars:
        data[star.slices] -= star.light
    # The brightness of galaxies.
    sample = data[::3, ::3][observed[::3, ::3]]
    bright = max(float(np.percentile(sample, BRIGHT)) - sky, noise) if len(sample) else noise
    rings = [_rings(data, observed, star, noise) for star in stars]
    have_hosts = _have_hosts(rings)
    usual = [one for one, has_host in zip(rings, have_hosts, strict=True) if not has_host]
    common = _common_mismatch(usual, bright, max(len(one.light) for one in rings))
    fluxes, errors = (np.array(sources[key], dtype=float) for key in ("flux", "flux_err"))
    for number in np.argsort(fluxes)[::-1]:
        star, has_host = stars[number], have_hosts[number]
        valid = observed[star.slices]
        own = _own_mismatch(rings[number], common, has_host) if is_sharp else np.zeros_like(common)
        mismatch = own[star.ring] * star.light
        corrected = data[star.slices] - mismatch
        counted = valid & (star.radius < COUNTED)
        fluxes[number] += np.sum(mismatch, where=counted)
        moved = COUNTED_ERROR * np.sum(np.abs(mismatch), where=counted)
        of_host = HOST_ERROR * _host_light(corrected, valid, star.radius, sky) if has_host else 0.0
        errors[number] = np.linalg.norm([errors[number], moved, of_host])
        core = 0.0
        if is_sharp or star.is_saturated:
            core = _core_radius(star, psf, noise, pixel_scale, has_host, valid)
        data[star.slices] = _filled(corrected, core, star.radius, valid)
        observed[star.slices] |= star.radius < core
    return data, observed, sources | {"flux": fluxes, "flux_err": errors}


@dataclass(frozen=True, eq=False)
class _Star:
    """A part of an image: distances from a star, its light, and its flux times the area of a pixel."""

    slices: tuple
    radius: np.ndarray
    light: np.ndarray
    amplitude: float
    is_saturated: bool

    @cached_property
    def ring(self):
        # Small integers are sorted fast.
        return (self.radius / RING).astype(np.int16)


@dataclass(frozen=True, eq=False)
class _Rings:
    """The light around a star in rings, less that of the PSF; and that of the PSF."""

    residual: np.ndarray
    light: np.ndarray
    is_measured: np.ndarray

    @cached_property
    def fraction(self):
        return np.divide(self.residual, self.light, out=np.zeros_like(self.light), where=self.is_measured)

    @property
    def excess(self):
        """The median fraction where a host would be; 0 if that is not measured."""
        radii = RING * (np.arange(len(self.light)) + 0.5)
        near = self.is_measured & (radii > HOST_RING[0]) & (radii < HOST_RING[1])
        return np.median(self.fraction[near]) if near.any() else 0.0


def _star(shape, psf, pixel_scale, noise, x, y, flux, is_saturated):
    """Return a star, out to where its light is negligible."""
    amplitude = flux * np.prod(pixel_scale)
    radii = np.linspace(0.3, LARGEST_RADIUS, 100)
    bright = amplitude * psf(radii) > NEGLIGIBLE * noise
    reach = radii[bright].max() if bright.any() else 0.3
    slices, axes = [], []
    for place, size, scale in zip((y, x), shape, pixel_scale, strict=True):
        start, stop = max(0, int(place - reach / scale)), min(size, int(place + reach / scale) + 2)
        slices.append(slice(start, stop))
        axes.append((np.arange(start, stop) - place) * scale)
    radius = np.hypot(axes[0][:, np.newaxis], axes[1])
    return _Star(tuple(slices), radius, amplitude * psf(radius), amplitude, bool(is_saturated))


def _rings(data, observed, star, noise):
    """Return medians in rings around a star, above the level in the outermost."""
    values, valid, number = data[star.slices].astype(float), observed[star.slices], star.ring
    count = int(number.max()) + 1
    brightness = ndimage.maximum(star.light, number, np.arange(count))
    values, number = values[valid], number[valid]
    pixels = np.bincount(number, minlength=count)
    level = np.median(values[number >= 0.7 * number.max()]) if len(values) else 0.0
    parts = np.split(values[np.argsort(number, kind="stable")], np.cumsum(pixels)[:-1])
    medians = np.array([np.median(part) if len(part) else 0.0 for part in parts]) - level
    # Beyond, differences are below the noise.
    measured = (pixels > 0) & (MISMATCH * brightness * np.sqrt(pixels) > noise)
    return _Rings(np.where(measured, medians, 0), brightness, measured)


def _have_hosts(rings):
    """Return whether there is more light around each star than the PSF and its mismatch have."""
    excess = np.array([one.excess for one in rings])
    # Most stars have no host: what they have in common is the mismatch.
    usual = np.median(excess) if len(excess) >= LEAST_STARS else 0.0
    return excess > usual + HOST_EXCESS


def _common_mismatch(rings, bright, count):
    """Return what stars have in common: the difference from the PSF in rings, as a fraction of its light."""
    # The given PSF counts as a star as bright as objects.
    fractions, weights = np.zeros((1 + len(rings), count)), np.zeros((1 + len(rings), count))
    weights[0] = 1
    for row, one in enumerate(rings, start=1):
        fractions[row, : len(one.light)] = one.fraction
        weights[row, : len(one.light)] = one.is_measured * np.minimum(one.light / bright, LARGEST_WEIGHT)
    order = np.argsort(fractions, axis=0)
    sums = np.cumsum(np.take_along_axis(weights, order, axis=0), axis=0)
    middle = np.argmax(sums >= 0.5 * sums[-1], axis=0)
    medians = np.take_along_axis(fractions, np.take_along_axis(order, middle[np.newaxis], axis=0), axis=0)[0]
    return np.clip(medians, -MISMATCH, MISMATCH)


def _own_mismatch(rings, common, has_host):
    """Return the difference of a star from the PSF in rings, as a fraction of its light."""
    common = common[: len(rings.light)]
    if has_host:
        return common
    return np.where(rings.is_measured, np.clip(rings.fraction, common - VARIATION, common + VARIATION), 0)


def _host_light(corrected, valid, radius, sky):
    """Return the light of a host where the PSF was fitted."""
    beyond = valid & (radius > HOST_RING[1])
    level = np.median(corrected[beyond]) if beyond.any() else sky
    return np.sum(corrected - level, where=valid & (radius < FIT_RADIUS))


def _core_radius(star, psf, noise, pixel_scale, has_host, valid):
    """Return the radius within which the variation of the PSF is larger than the noise."""
    radii = np.arange(0.0, LARGEST_CORE, 0.01)
    above = VARIATION * star.amplitude * psf(radii) > CORE_SIGMA * noise
    radius = min(radii[above].max(), 0.35) if above.any() else 0.0
    if star.is_saturated:
        hole = ~valid & (star.radius < LARGEST_CORE)
        return max(radius, star.radius[hole].max() + 0.5 * min(pixel_scale)) if hole.any() else radius
    return min(radius, HOST_CORE) if has_host else radius


def _filled(corrected, core, radius, valid):
    """Return the light around a star with its core replaced by the level of the surroundings."""
    inside = radius < core
    if not inside.any():
        return corrected
    around = valid & ~inside & (radius < core + SURROUNDINGS)
    return np.where(inside, np.median(corrected[around] if around.any() else corrected), corrected)
