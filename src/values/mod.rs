//! Small shared types without I/O.
