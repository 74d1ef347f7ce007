//! Bounce policies.
