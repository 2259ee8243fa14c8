"""Files sorted into exposures and their filters, and HST images by their filters."""

import os
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from astropy_imphot.calibration.filters import filter_in_header
from astropy_imphot.io.errors import UserError
from astropy_imphot.io.files import short_name, source_name
from astropy_imphot.io.images import read_header
from astropy_imphot.reference.reading import Reference, read_reference

__all__ = ["Exposure", "each_an_exposure", "find_exposures", "find_hst_images"]


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """
    One exposure: a cube, or images in several filters.

    Parameters
    ----------
    name : str
        Its name in tables and files.
    cube : str or None
        The cube's file.
    images : dict of str to str
        The files of images, if there is no cube; the keys are names of filters.
    problem : str
        The reason why it cannot be used; empty if it can.

    Examples
    --------
    >>> from astropy_imphot.field.plan import Exposure
    >>> Exposure(name="E1", images={"F606W": "F606W_IMAGE_E1.fits"}).files
    ['F606W_IMAGE_E1.fits']
    """

    name: str
    cube: str | None = None
    images: dict = field(default_factory=dict)
    problem: str = ""

    @property
    def files(self):
        """The names of its files."""
        return [*([self.cube] if self.cube else []), *self.images.values()]


def find_hst_images(paths):
    """
    Sort HST images by their filters.

    Parameters
    ----------
    paths : sequence of str, path or `~astropy_imphot.Reference`
        The images' files, one for each filter.

    Returns
    -------
    dict of str to str or `~astropy_imphot.Reference`
        The absolute paths of the files, or the references with these, by the names of their filters.

    Raises
    ------
    UserError
        If one cannot be read, or has no filter, or two have the same filter.

    Examples
    --------
    >>> from astropy_imphot import write_image
    >>> from astropy_imphot.field.plan import find_hst_images
    >>> from astropy_imphot.simulation import example_field
    >>> write_image(example_field().hst, "hst.fits", overwrite=True)
    >>> list(find_hst_images(["hst.fits"]))
    ['F775W']
    """
    found = {}
    for path in paths:
        reference = read_reference(path)
        path, name = source_name(reference, ""), reference.filter_name
        if not path:
            raise UserError("an HST image is not a file: write it to one.")
        if not name:
            raise UserError(f"{path} has no filter in its header: add the keyword FILTER.")
        if name in found:
            first = source_name(found[name])
            raise UserError(f"{first} and {path} are both in {name}: give one HST image for each filter.")
        given = {key: value for key, value in reference.options.items() if value is not None}
        found[name] = os.path.abspath(path)
        if given:
            found[name] = Reference(found[name], **(reference.options | _absolute(given)))
    if not found:
        raise UserError("there are no HST images: give one for each filter.")
    return found


def _absolute(given):
    """Return what is given beside a reference image, with the absolute paths of files."""
    files = {key: given[key] for key in ("sigma", "weight", "mask") if key in given}
    for key, path in files.items():
        if not isinstance(path, str | Path):
            raise UserError(f"the {key} of an HST image is not a file: write it to one.")
    return given | {key: os.path.abspath(path) for key, path in files.items()}


def find_exposures(paths, filters, filter_name=None):
    """
    Sort files into exposures.

    Parameters
    ----------
    paths : sequence of str or path
        Cubes, each an exposure, and images. Images belong to the same exposure if their names are the same
        but for the filter's, such as F606W_IMAGE_E1.fits and F775W_IMAGE_E1.fits.
    filters : sequence of str
        The filters of the HST images.
    filter_name : str, optional
        The filter of all images. By default (None) it is that of their headers (FILTER and the like), or of
        the only HST image.

    Returns
    -------
    list of `Exposure`
        In the order of the files; those that cannot be read have a ``problem``.

    Raises
    ------
    UserError
        If there are no files, an exposure has two images in a filter, or ``filter_name`` has no HST image.

    Examples
    --------
    >>> from astropy_imphot.field.plan import find_exposures
    >>> find_exposures(["no_such_file.fits"], ["F606W"])[0].problem
    'no_such_file.fits does not exist: check the name.'
    """
    paths = [str(path) for path in paths]
    if not paths:
        raise UserError("there are no exposures: give cubes or images.")
    if filter_name is not None and filter_name.upper() not in filters:
        raise UserError(f"there is no HST image in {filter_name}: the filters are {', '.join(filters)}.")
    names = _distinct_names(paths)
    find_filter = partial(_image_filter, filters=filters, filter_name=filter_name)
    exposures = {}
    for path in paths:
        found = _exposure(path, names[path], find_filter)
        for one in found.images:
            found = replace(found, name=_without(one, found.name))
        known = exposures.setdefault(found.name, found)
        if known is found:
            continue
        if known.cube or found.cube or found.images.keys() & known.images.keys():
            raise UserError(f"{path} and {known.files[0]} would be the same exposure: rename one of them.")
        known.images.update(found.images)
    return list(exposures.values())


def each_an_exposure(paths):
    """
    Return an exposure for each file, in any filter.

    Parameters
    ----------
    paths : sequence of str or path
        Cubes and images.

    Returns
    -------
    list of `Exposure`
        In the order of the files; those that cannot be read have a ``problem``.

    Raises
    ------
    UserError
        If there are fewer than two files, or two are the same.

    Examples
    --------
    >>> from astropy_imphot.field.plan import each_an_exposure
    >>> [one.name for one in each_an_exposure(["E1.fits", "E2.fits"])]
    ['E1', 'E2']
    """
    paths = [str(path) for path in paths]
    if len(paths) < 2:
        raise UserError(f"there are {len(paths)} exposures: give two or more, as references of each other.")
    return [
        _exposure(path, name, lambda _, header: filter_in_header(header))
        for path, name in _distinct_names(paths).items()
    ]


def _exposure(path, name, find_filter):
    """Return a cube or an image, whose filter is find_filter(path, header), as an exposure."""
    place = os.path.abspath(path)
    try:
        header = read_header(path)
        if header.get("NAXIS") == 3:
            return Exposure(name=name, cube=place)
        return Exposure(name=name, images={find_filter(path, header): place})
    except UserError as error:
        return Exposure(name=name, cube=place, problem=str(error))


def _distinct_names(paths):
    """Return the names of files, with their folders where the files have the same name."""
    names = {path: short_name(path) for path in paths}
    common = Counter(names.values())
    for path, name in names.items():
        if common[name] > 1:
            names[path] = f"{Path(path).absolute().parent.name}_{name}"
    for key, what in ((os.path.realpath, "file"), (names.get, "name")):
        for same, count in Counter(map(key, paths)).items():
            if count > 1:
                twice = " and ".join(path for path in paths if key(path) == same)
                raise UserError(f"the exposures {twice} are the same {what}: give each once.")
    return names


def _image_filter(path, header, filters, filter_name):
    if filter_name is not None:
        return filter_name.upper()
    name = filter_in_header(header)
    if not name and len(filters) == 1:
        return next(iter(filters))
    if not name:
        raise UserError(f"{path} has no filter in its header: add the keyword FILTER, or give --filter.")
    if name not in filters:
        raise UserError(f"{path} is in {name}, in which there is no HST image: give one to --hst.")
    return name


def _without(filter_name, name):
    """Return a name without that of a filter, by which the images of an exposure differ."""
    bare = re.sub(rf"(?i)(^|[-_.]){re.escape(filter_name)}(?=[-_.]|$)", "", name).strip("-_.")
    return bare or name
