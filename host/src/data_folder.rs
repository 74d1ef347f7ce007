//! The folder of an installation: its database, its key, its compiled extensions. Nobody but its owner looks into it.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// Makes the folder where there is none. One that is there keeps its permissions: somebody may share it on purpose.
pub fn make(path: &Path) -> anyhow::Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error: io::Error| anyhow::anyhow!("the data folder {} can't be made: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_is_its_owners_alone_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/data");
        let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        make(&path).unwrap();
        assert_eq!(mode(), 0o700);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o750)).unwrap();
        make(&path).unwrap();
        assert_eq!(mode(), 0o750);
    }
}
