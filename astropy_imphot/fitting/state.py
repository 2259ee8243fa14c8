"""The parameters of a fit between two steps."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from astropy.stats import mad_std

from astropy_imphot.fitting.columns import CosineModes, mode_numbers
from astropy_imphot.fitting.objects import object_cells, segment_objects
from astropy_imphot.fitting.statistics import pixel_coordinates
from astropy_imphot.reference.template import MISSING_LIMIT

__all__ = ["FitState", "first_state", "pixel_noise", "unmodeled_pixels", "with_objects"]


# The scatter of so many objects can be estimated; that of shifts, of which a rotation is a part, of twice as
# many.
LEAST_OBJECTS = 4

# Shifts of objects are fitted so many times, without those larger than so many medians of all.
CLIPPED_FITS = 3
CLIP = 3.0


@dataclass(frozen=True, eq=False, kw_only=True)
class FitState:
    """
    All parameters of a fit of an image of shape (ny, nx) between two steps.

    Attributes
    ----------
    model : `ConvolvedTemplate2D`
        The model, with n point sources.
    small : dict of str to float
        Changes of parameters that are small enough to be linear: the model is not computed anew for them.
    masked : bool array of shape (ny, nx)
        True where a pixel is masked.
    rejected : bool array of shape (ny, nx)
        The part of the mask that is objects which do not fit.
    cells : int array of shape (ny, nx)
        For each pixel the number of the object whose own scale and place it has, 0 for none.
    differences : array of shape (3, m)
        The own scales of the objects, as fractions of the scale less 1, and their own shifts along x and y
        (arcsec).
    box : (slice, slice)
        The part of the image with pixels that are fitted, in which half periods are counted.
    mode_numbers : int array of shape (k, 2)
        Numbers of half periods along y and x of the modes of the background.
    amplitudes : array of shape (k,)
        Their amplitudes.
    is_free : bool array of shape (n,)
        Whether each point source has own parameters.
    has_prior : bool array of shape (n,)
        Whether these have a prior: not for sources that one of the images has only.
    first_scale : float
        The scale after the fit of an astropy fitter.
    last_step : float
        The largest part of the last step, in standard errors; 0 if there was none.
    sizes, precisions, curvatures : dict of str to float, and to arrays
        The priors, see `~astropy_imphot.fitting.priors.Prior`.

    Examples
    --------
    See `~astropy_imphot.fitting.solve.solve`, which uses it.
    """

    model: object
    masked: np.ndarray
    rejected: np.ndarray
    cells: np.ndarray
    differences: np.ndarray
    box: tuple
    mode_numbers: np.ndarray
    amplitudes: np.ndarray
    is_free: np.ndarray
    has_prior: np.ndarray
    first_scale: float = 1.0
    last_step: float = 0.0
    small: dict = field(default_factory=dict)
    sizes: dict = field(default_factory=dict)
    precisions: dict = field(default_factory=dict)
    curvatures: dict = field(default_factory=dict)

    @cached_property
    def coordinates(self):
        """The x and y of all pixels."""
        y, x = pixel_coordinates(self.masked.shape)
        return x, y

    @cached_property
    def model_light(self):
        """The image of the model, without the changes that are small."""
        return self.model(*self.coordinates)

    @cached_property
    def light(self):
        """The image of the model, of the differences of objects and of the background's modes."""
        columns = self.model.derivatives(*self.coordinates, tuple(self.small))
        changes = (change * column for change, column in zip(self.small.values(), columns, strict=True))
        return self.light_without_small + sum(changes)

    @cached_property
    def light_without_small(self):
        """The same without the changes that are small."""
        return self.model_light + self.own_light + self.modes_light()

    @cached_property
    def own_light(self):
        """The image of the own scales and shifts of objects, without the model."""
        if not self.differences.any():
            return 0.0
        changes = np.pad(self.differences, ((0, 0), (1, 0)))[:, self.cells]
        return sum(change * light for change, light in zip(changes, self.object_columns, strict=True))

    @cached_property
    def object_columns(self):
        """The derivatives by own scales and shifts, images of which each object has its part."""
        scale = self.model.scale.value
        return [
            scale * self.model.template_light(*self.coordinates, derivative=key) for key in (None, "dx", "dy")
        ]

    def modes_light(self):
        """Return the image of the background's modes."""
        if not len(self.amplitudes):
            return 0.0
        return CosineModes(self.masked.shape, self.mode_numbers, self.box).image(self.amplitudes)

    def residual(self, image, weights):
        """Return the weighted residuals of an image."""
        return np.where(weights > 0, image.data - self.light, 0) * weights

    def complete(self):
        """Return the state whose model has all changes."""
        model = self.model.copy()
        for key, change in self.small.items():
            setattr(model, key, getattr(model, key).value + change)
        return replace(self, model=model, small={})

    def with_chosen(self, kept):
        """Return the state with some of its point sources."""
        return replace(
            self,
            model=self.model.with_sources(self.model.sources.chosen(kept), self.model.own[kept]),
            is_free=self.is_free[kept],
            has_prior=self.has_prior[kept],
        )


def first_state(model, masked, tied, background):
    """
    Return the state at the start.

    Parameters
    ----------
    model : `ConvolvedTemplate2D`
        The model after the fit of an astropy fitter, with n point sources.
    masked : bool array of shape (ny, nx)
        True where a pixel is masked.
    tied : bool or bool array of shape (n,)
        As for `~astropy_imphot.fitting.solve.solve`.
    background : str or (int, int)
        The numbers of half periods of the background's modes; a constant for text.

    Returns
    -------
    FitState
        Without objects.

    Examples
    --------
    See `~astropy_imphot.fitting.solve.solve`, which uses it.
    """
    n_sources = len(model.sources)
    numbers = mode_numbers((0, 0) if isinstance(background, str) else np.broadcast_to(background, 2))
    nothing = np.zeros(masked.shape, dtype=int)
    return FitState(
        model=model,
        masked=masked,
        rejected=nothing > 0,
        cells=nothing,
        differences=np.zeros((3, 0)),
        box=tuple(slice(used.min(), used.max() + 1) for used in np.nonzero(~masked)),
        mode_numbers=numbers,
        amplitudes=np.zeros(len(numbers)),
        is_free=~np.broadcast_to(tied, n_sources),
        has_prior=np.ones(n_sources, dtype=bool),
        first_scale=model.scale.value or 1.0,
    )


def pixel_noise(weights):
    """
    Return the standard deviations of pixels from their weights.

    Parameters
    ----------
    weights : array of shape (ny, nx)
        1/standard deviation, 0 where a pixel is masked.

    Returns
    -------
    array of shape (ny, nx)
        Infinite where a pixel is masked.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.fitting.state import pixel_noise
    >>> pixel_noise(np.array([2.0, 0.0]))
    array([0.5, inf])
    """
    return np.divide(1.0, weights, out=np.full(np.shape(weights), np.inf), where=weights > 0)


def unmodeled_pixels(model):
    """
    Return the pixels with too much light from sky that HST did not observe.

    Parameters
    ----------
    model : `ConvolvedTemplate2D`
        The model.

    Returns
    -------
    bool array of shape (ny, nx)
        True where more than 1 % of the light is not known.

    Examples
    --------
    See `~astropy_imphot.fitting.solve.solve`, which uses it.
    """
    if model.most_missing() <= MISSING_LIMIT:
        return np.zeros(model.template.muse_shape, dtype=bool)
    return model.missing_fraction() > MISSING_LIMIT


def with_objects(state, image, weights):
    """
    Return the state with the objects of its model that have own scales and shifts.

    Parameters
    ----------
    state : FitState
        The state.
    image : `~astropy.nddata.CCDData`
        The MUSE image, of shape (ny, nx).
    weights : array of shape (ny, nx)
        1/standard deviation, 0 where a pixel is masked.

    Returns
    -------
    FitState
        The state; without objects if the scale is held.

    Examples
    --------
    See `~astropy_imphot.fitting.solve.solve`, which uses it.
    """
    if state.model.fixed["scale"]:
        return state
    light = state.model.scale.value * state.model.template_light(*state.coordinates)
    valid = ~state.masked
    level = mad_std(state.residual(image, weights)[valid]) ** 2 or 1.0
    labels = segment_objects(light, pixel_noise(weights) * np.sqrt(level), valid)
    cells, count = object_cells(labels, light * weights, level)
    state = replace(state, cells=cells, differences=np.zeros((3, count)))
    (scales, *shifts), places = _differences(state, image, weights, level)
    if not state.model.fixed["rotation"]:
        shifts = _without_rotation(shifts, places)
    displacement = _spread(shifts) if count >= 2 * LEAST_OBJECTS else None
    return replace(state, sizes={"scatter": _spread([scales]), "displacement": displacement})


def _differences(state, image, weights, level):
    """Return estimates of own scales and shifts of single objects, with their errors, and their places."""
    residual, count = state.residual(image, weights), state.differences.shape[1] + 1

    def sums(values):
        return np.bincount(state.cells.ravel(), weights=values.ravel(), minlength=count)[1:]

    columns = [column * weights for column in state.object_columns]
    found = []
    for column in columns:
        information = np.maximum(sums(column**2), 1e-300)
        found.append((sums(column * residual) / information, np.sqrt(level / information)))
    light = np.maximum(sums(columns[0] ** 2), 1e-300)
    return found, [sums(columns[0] ** 2 * axis) / light for axis in state.coordinates]


def _without_rotation(shifts, places):
    """Return shifts along x and y without the mean shift and the rotation of those that are known best."""
    (right, errors), (up, others) = shifts
    if len(right) < LEAST_OBJECTS:
        return shifts
    x, y = (place - place.mean() for place in places)
    nothing, one = np.zeros_like(x), np.ones_like(x)
    design = np.array([[one, nothing, -y], [nothing, one, x]])
    used = errors <= np.median(errors)
    left = np.array([right, up])
    for _ in range(CLIPPED_FITS):
        solution = np.linalg.lstsq(
            np.moveaxis(design[:, :, used], 1, -1).reshape(-1, 3), left[:, used].ravel(), rcond=None
        )[0]
        rest = left - np.einsum("akn,k->an", design, solution)
        away = np.hypot(*rest)
        used = (errors <= np.median(errors)) & (away < CLIP * max(np.median(away[used]), 1e-300))
    return [(rest[0], errors), (rest[1], others)]


def _spread(estimates):
    """Return the scatter beyond the errors of the half of the estimates that is known best; None for few."""
    squares = []
    for values, errors in estimates:
        if len(errors) < LEAST_OBJECTS:
            return None
        best = np.argsort(errors)[: max(LEAST_OBJECTS, (len(errors) + 1) // 2)]
        squares.append(mad_std(values[best]) ** 2 - np.mean(errors[best] ** 2))
    return float(np.sqrt(max(np.mean(squares), 0.0))) or None
