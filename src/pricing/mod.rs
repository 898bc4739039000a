//! What an effective price is: the pure rules, exact arithmetic included.
