"""Radial functions at many radii, interpolated from a few nodes."""

import numpy as np
from scipy import sparse

__all__ = ["RadialTable"]


class RadialTable:
    """
    Fast, repeated evaluation of radial functions at the same radii.

    Functions are computed at a few hundred nodes, and interpolated at all radii by splines. The weights
    of the interpolation depend on the radii alone, and are kept.

    Parameters
    ----------
    radii : array
        The radii; frequencies in cycles/arcsec, 0 or more.

    Attributes
    ----------
    nodes : array of shape (n,)
        The radii at which functions have to be computed.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.psf.moffat import MOFFAT
    >>> from astropy_imphot.psf.radial import RadialTable
    >>> radii = np.linspace(0, 3, 1000).reshape(10, 100)
    >>> table = RadialTable(radii)
    >>> fast = table(MOFFAT.otf(table.nodes, 0.7, 2.5))
    >>> bool(np.allclose(fast, MOFFAT.otf(radii, 0.7, 2.5), rtol=0, atol=1e-8))
    True
    """

    N_NODES = 500
    DEGREE = 3

    def __init__(self, radii):
        from scipy.interpolate import BSpline, make_interp_spline

        self.shape = np.shape(radii)
        # The OTF of a Moffat of small beta has a cusp at 0: nodes are closest there, closer than
        # the lowest frequency of any image, so that the cusp matters at 0 only.
        self.nodes = np.max(radii) * np.linspace(0, 1, self.N_NODES) ** 3
        identity = make_interp_spline(self.nodes, np.eye(self.N_NODES), k=self.DEGREE)
        self._to_coefficients = identity.c
        self._knots = identity.t
        clipped = np.minimum(np.ravel(radii), self.nodes[-1])
        self._to_radii = sparse.csr_array(BSpline.design_matrix(clipped, self._knots, self.DEGREE))

    def __call__(self, values):
        """
        Interpolate functions from the nodes to the radii.

        Parameters
        ----------
        values : array of shape (n,) or (k, n)
            One or k functions at the nodes.

        Returns
        -------
        array of shape (...) or (k, ...)
            The functions at the radii, in their shape.
        """
        at_radii = self._to_radii @ (self._to_coefficients @ np.transpose(values))
        return np.moveaxis(at_radii, 0, -1).reshape(np.shape(values)[:-1] + self.shape)

    def at(self, values, radii):
        """
        Interpolate a function from the nodes to radii other than the table's.

        Parameters
        ----------
        values : array of shape (n,)
            A function at the nodes.
        radii : array
            The radii, 0 or more; beyond the last node the function stays as it is there.

        Returns
        -------
        array of the radii's shape
            The function.

        Examples
        --------
        >>> import numpy as np
        >>> from astropy_imphot.psf.radial import RadialTable
        >>> table = RadialTable(np.linspace(0, 3, 50))
        >>> table.at(table.nodes, np.array([1.5, 2.0, 4.0])).round(6)
        array([1.5, 2. , 3. ])
        """
        from scipy.interpolate import BSpline

        spline = BSpline(self._knots, self._to_coefficients @ values, self.DEGREE)
        return spline(np.minimum(radii, self.nodes[-1]))

    def node_sums(self, weights):
        """
        Return weights of the nodes that give the same sums as weights of the radii.

        Parameters
        ----------
        weights : array of the radii's shape
            Weights w.

        Returns
        -------
        array of shape (n,)
            Weights v with sum(v * values) = sum(w * table(values)) for any function.

        Examples
        --------
        >>> import numpy as np
        >>> from astropy_imphot.psf.radial import RadialTable
        >>> table = RadialTable(np.linspace(0, 3, 50))
        >>> sums = table.node_sums(np.ones(50))
        >>> round(float(sums @ table.nodes), 6), round(float(np.linspace(0, 3, 50).sum()), 6)
        (75.0, 75.0)
        """
        return self._to_coefficients.T @ (self._to_radii.T @ np.ravel(weights))
