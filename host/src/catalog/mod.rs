//! Stored extensions and bindings, and what of them is loaded.
