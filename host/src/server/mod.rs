//! The running server.
