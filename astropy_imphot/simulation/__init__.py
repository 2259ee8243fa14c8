"""Drawn skies of known truth: fields, cubes, and HST images, which GalSim draws."""

from astropy_imphot.simulation.cubes import CubeTruth, SimulatedCubes, simulate_cubes
from astropy_imphot.simulation.fields import (
    CENTER,
    SimulatedField,
    Star,
    Truth,
    example_field,
    muse_cube,
    random_truth,
    simulate_field,
    sky_grid,
    with_noise,
)

__all__ = [
    "CENTER",
    "CubeTruth",
    "SimulatedCubes",
    "SimulatedField",
    "Star",
    "Truth",
    "example_field",
    "muse_cube",
    "random_truth",
    "simulate_cubes",
    "simulate_field",
    "sky_grid",
    "with_noise",
]
