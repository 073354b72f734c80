//! Entry point of `trine`; the command line itself is in the library.

fn main() {}
