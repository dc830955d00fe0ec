//! karere's client against servers that are built here; there is nothing but tests.
