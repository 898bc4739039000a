//! Tests of the reading of requests.

mod reading;
