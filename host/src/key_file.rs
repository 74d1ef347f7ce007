//! The key file of an installation that was given no `AMPOUT_SECRET_KEY`: made at the first start, readable by its owner
//! alone.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
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
    // Whoever creates the file writes it: of two first starts at once, one makes the key and the other reads it.
    let created = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    match created {
        Ok(mut file) => {
            let key = SecretKey::generate();
            let written = writeln!(file, "{}", key.to_hex()).and_then(|()| file.sync_all());
            written.map_err(|source| KeyFileError::File { path, source })?;
            Ok(key)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => read(&path),
        Err(source) => Err(KeyFileError::File { path, source }),
    }
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
