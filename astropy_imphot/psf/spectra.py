"""Transforms of oversampled images, with the aliases of each frequency of the pixels."""

from functools import cached_property

import numpy as np

from astropy_imphot.psf.fourier import frequencies
from astropy_imphot.psf.radial import RadialTable

__all__ = ["AliasedFrequencies", "crop_spectrum", "refine_spectrum"]


class AliasedFrequencies:
    """
    The frequencies of an image with several samples per pixel, sorted by their aliases at the pixels.

    Frequencies that differ by multiples of the sampling frequency of the pixels are aliases. Arrays of
    shape ``shape`` contain, in blocks of the shape of the pixels' transform, one alias of every frequency
    per block, so that the sum over the blocks is the transform of the image sampled at the pixels.

    Parameters
    ----------
    grid_shape : (int, int)
        Height and width in pixels, even numbers.
    oversample : int
        Samples per pixel and axis, 1 or 2.
    pixel_scale : (float, float)
        Height and width of a pixel, arcsec.

    Attributes
    ----------
    fy, fx : arrays of shape (k * ny, 1) and (1, k * (nx // 2 + 1))
        Frequencies, cycles/arcsec; those along x are negative in the second block.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import fft
    >>> from astropy_imphot.psf.spectra import AliasedFrequencies
    >>> fine = np.random.default_rng(1).normal(size=(16, 24))
    >>> aliases = AliasedFrequencies((8, 12), 2, (0.2, 0.2))
    >>> folded = aliases.fold(aliases.split(fft.rfft2(fine)), np.ones(aliases.shape))[0]
    >>> bool(np.allclose(fft.irfft2(folded, s=(8, 12)), fine[::2, ::2]))
    True
    """

    def __init__(self, grid_shape, oversample, pixel_scale):
        self.grid_shape = grid_shape
        self.oversample = oversample
        ny, nx = grid_shape
        self.half = nx // 2 + 1
        self.shape = (oversample * ny, oversample * self.half)
        fine_shape = (oversample * ny, oversample * nx)
        self.fy, fx = frequencies(fine_shape, [scale / oversample for scale in pixel_scale])
        self.fx = fx if oversample == 1 else np.hstack([fx[:, : self.half], -fx[:, : -self.half - 1 : -1]])
        # Distances between the aliases of a frequency.
        self._steps = [1 / scale for scale in pixel_scale]

    def split(self, spectrum):
        """Return the transform (`scipy.fft.rfft2`) of the samples in blocks, shape ``shape``."""
        if self.oversample == 1:
            return spectrum
        # The transform of a real image at a negative frequency, from that at the opposite one.
        opposite = np.roll(spectrum[::-1, : -self.half - 1 : -1], 1, axis=0).conj()
        return np.hstack([spectrum[:, : self.half], opposite])

    def join(self, blocks):
        """Return the transform of the samples, from one in blocks."""
        if self.oversample == 1:
            return blocks
        # The first column of that is the last of the other block.
        opposite = np.roll(blocks[::-1, -2 : self.half - 1 : -1], 1, axis=0).conj()
        return np.hstack([blocks[:, : self.half], opposite])

    def fold(self, blocks, factor, dx=0.0, dy=0.0, *, gradient=False):
        """
        Return the transform, at the pixels, of an image that is filtered, shifted and sampled there.

        Parameters
        ----------
        blocks : complex array of shape ``shape``
            A transform of the samples, in blocks.
        factor : array of shape ``shape``
            The filter, by which the transform is multiplied.
        dx, dy : float
            The shift, arcsec.
        gradient : bool
            Whether derivatives are wanted, too (default: False).

        Returns
        -------
        list of complex arrays of shape (ny, nx // 2 + 1)
            The transform and, if wanted, the derivatives of it with respect to dx and dy.
        """
        ny, _ = self.grid_shape
        total = [np.zeros((ny, self.half), dtype=complex) for _ in range(3 if gradient else 1)]
        for row in range(self.oversample):
            for column in range(self.oversample):
                block = np.s_[row * ny : (row + 1) * ny, column * self.half : (column + 1) * self.half]
                # A block at a time stays in the processor's cache.
                part = blocks[block] * factor[block]
                if row or column:
                    # Aliases differ by the same frequency throughout, and so by one phase each.
                    part = part * np.exp(
                        2j * np.pi * (row * self._steps[0] * dy + column * self._steps[1] * dx)
                    )
                total[0] += part
                if gradient and column:
                    total[1] -= self._steps[1] * column * part
                if gradient and row:
                    total[2] -= self._steps[0] * row * part
        fy, fx = self.fy[:ny], self.fx[:, : self.half]
        # Transforms are sums over the samples, of which there are more than pixels.
        shift = np.exp(-2j * np.pi * fy * dy) / self.oversample**2 * np.exp(-2j * np.pi * fx * dx)
        for one in total:
            one *= shift
        for one, frequency in zip(total[1:], (fx, fy), strict=False):
            one += frequency * total[0]
            one *= -2j * np.pi
        return total

    @cached_property
    def _rows(self):
        """The row of the radial table that holds each frequency along y, of either sign."""
        rows = np.arange(self.shape[0])
        return np.minimum(rows, self.shape[0] - rows)

    @cached_property
    def table(self):
        """The `~astropy_imphot.psf.radial.RadialTable` of radial frequencies, see `radial`."""
        return RadialTable(np.hypot(self.fy[: self.shape[0] // 2 + 1], self.fx))

    def radial(self, values):
        """
        Return a function of the radial frequency.

        Parameters
        ----------
        values : array of shape (n,)
            The function at ``table.nodes``.

        Returns
        -------
        array of shape ``shape``
            The function.
        """
        return np.take(self.table(values), self._rows, axis=0)

    def node_sums(self, weights):
        """
        Return weights of the nodes that give the same sums as weights of the samples' frequencies.

        Parameters
        ----------
        weights : array of shape ``shape``
            One weight for each frequency and that opposite to it.

        Returns
        -------
        array of shape (n,)
            As for `~astropy_imphot.psf.radial.RadialTable.node_sums`.
        """
        full = np.full((1, self.shape[1]), 2.0)
        # Frequencies of these columns are their own opposites, or are in two blocks.
        full[:, :: self.half] = full[:, self.half - 1 :: self.half] = 1
        weights = full * weights
        middle = self.shape[0] // 2
        folded = weights[: middle + 1].copy()
        folded[1:middle] += weights[:middle:-1]
        return self.table.node_sums(folded)


def crop_spectrum(spectrum, shape):
    """Keep the frequencies of a smaller transform below its Nyquist frequency."""
    ny, nx = shape
    half = ny // 2
    cropped = np.zeros((ny, nx // 2 + 1), dtype=spectrum.dtype)
    cropped[:half, : nx // 2] = spectrum[:half, : nx // 2]
    cropped[half + 1 :, : nx // 2] = spectrum[spectrum.shape[0] - half + 1 :, : nx // 2]
    return cropped


def refine_spectrum(spectrum, shape, finer_shape):
    """Return the transform of an image sampled more finely, from its transform on ``shape``."""
    half, columns = shape[0] // 2, shape[1] // 2
    finer = np.zeros((finer_shape[0], finer_shape[1] // 2 + 1), dtype=complex)
    finer[:half, :columns] = spectrum[:half, :columns]
    finer[finer_shape[0] - half + 1 :, :columns] = spectrum[half + 1 :, :columns]
    return finer * (finer_shape[0] * finer_shape[1] / (shape[0] * shape[1]))
