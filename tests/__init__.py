"""The specification of gpusched, as tests; a package so that tests can import `tests.fakes`."""
