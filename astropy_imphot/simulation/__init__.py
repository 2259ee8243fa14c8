"""Simulated MUSE images and cubes, and HST images, of known truth, drawn by GalSim."""

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
