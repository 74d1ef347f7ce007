//! The outbox on its way.
