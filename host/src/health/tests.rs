//! What a user would notice.
