//! From bytes to incident drafts.
