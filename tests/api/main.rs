//! Black-box tests of the HTTP interface.
