//! The key file of an installation that was given no `AMPOUT_SECRET_KEY`: made at the first start, readable by its owner
//! alone.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::secrets::{SecretError, SecretKey};

const NAME: &str = "secret.key";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file can't be read or written.
    #[error("the key file {} can't be used; mend its permissions or set AMPOUT_SECRET_KEY", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file holds no key.
    #[error("the key file {} holds no key", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: SecretError,
    },
}

/// The key of the data folder, made when there is none.
pub fn read_or_make(data_dir: &Path) -> Result<SecretKey, KeyFileError> {
    let path = data_dir.join(NAME);
    if !path.exists() {
        make(data_dir, &path).map_err(|source| KeyFileError::File { path: path.clone(), source })?;
    }
    read(&path)
}

/// Puts a whole file at its place, or none: one that a crash left empty would keep every start from then on. Of two first
/// starts at once the key of one stands, which both read.
fn make(data_dir: &Path, path: &Path) -> std::io::Result<()> {
    // Its owner's alone from the beginning.
    let mut file = tempfile::Builder::new().prefix(NAME).tempfile_in(data_dir)?;
    writeln!(file, "{}", SecretKey::generate().to_hex())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(lost) if lost.error.kind() != std::io::ErrorKind::AlreadyExists => return Err(lost.error),
        _ => {}
    }
    File::open(data_dir)?.sync_all()
}

fn read(path: &Path) -> Result<SecretKey, KeyFileError> {
    let text = std::fs::read_to_string(path).map_err(|source| KeyFileError::File { path: path.to_owned(), source })?;
    SecretKey::parse(&text).map_err(|source| KeyFileError::Content { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_first_start_makes_a_key_that_only_its_owner_can_read() {
        let folder = tempfile::tempdir().unwrap();
        let made = read_or_make(folder.path()).unwrap();
        assert_eq!(read_or_make(folder.path()).unwrap().to_hex(), made.to_hex());
        let mode = std::fs::metadata(folder.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_spoilt_file_is_an_error_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(NAME), "not a key").unwrap();
        assert!(matches!(read_or_make(folder.path()), Err(KeyFileError::Content { .. })));
        assert_eq!(std::fs::read_to_string(folder.path().join(NAME)).unwrap(), "not a key");
    }
}
