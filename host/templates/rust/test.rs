
#[cfg(test)]
mod tests {
    /// `cargo test` runs the examples of `plugin.toml` natively, where a debugger works.
    #[test]
    fn every_example_is_decided_as_expected() {
        ampout_plugin::testkit::check_@HOOK_UNDERSCORED@(env!("CARGO_MANIFEST_DIR"), super::@FUNCTION@);
    }
}
