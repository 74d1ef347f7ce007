-- What the files of the operator's folders held when they were last taken in: only a file that changes changes a binding.
CREATE TABLE extension_files (
    -- plugins/NAME.wasm or scripts/NAME.rhai
    file         TEXT PRIMARY KEY,
    sha256       TEXT NOT NULL,
    -- The version that it was last taken in as; empty: it never could be.
    extension_id TEXT NOT NULL,
    -- Why its present content is not taken in.
    error        TEXT,
    seen_at      BIGINT NOT NULL
);
