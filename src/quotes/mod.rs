//! One question, one answer, from the snapshot alone.
