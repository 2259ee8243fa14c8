"""Drawn fields: the one that examples share."""

import numpy as np
import pytest

from astropy_imphot.simulation import example_field, fields, simulate_field


def test_the_example_is_drawn_once(monkeypatch):
    first = example_field()

    def again(**options):
        pytest.fail(f"drawn again: {options}")

    monkeypatch.setattr(fields, "simulate_field", again)
    np.testing.assert_array_equal(example_field().hst.data, first.hst.data)


def test_the_example_is_the_field_that_its_docstring_names():
    drawn, example = simulate_field(seed=1, size=10.0), example_field()
    assert example.truth == drawn.truth
    for one, other in zip([example.hst, *example.muse], [drawn.hst, *drawn.muse], strict=True):
        np.testing.assert_array_equal(one.data, other.data)
        assert one.unit == other.unit
        assert one.meta == other.meta


def test_what_is_done_to_an_example_stays_there():
    field = example_field()
    field.hst.data[:] = 0
    field.hst.meta["FILTER"] = "F606W"
    field.hst.wcs.wcs.crval = [1.0, 2.0]
    (muse,) = field.muse
    muse.data[:] = 0
    muse.uncertainty.array[:] = 0
    field.muse.append(muse)
    field.truth.append(None)
    other = example_field()
    assert other.hst.data.any()
    assert other.hst.meta["FILTER"] == "F775W"
    assert list(other.hst.wcs.wcs.crval) != [1.0, 2.0]
    assert other.muse[0].data.any()
    assert other.muse[0].uncertainty.array.all()
    assert len(other.muse) == len(other.truth) == 1
