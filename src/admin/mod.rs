//! The second listener: health, metrics and the read API.
