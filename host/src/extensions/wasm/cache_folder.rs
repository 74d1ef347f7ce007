//! The folder of compiled components. Whoever can write into it runs code as us, so it is ours alone: what was put there
//! while others could is thrown away, and a folder of somebody else's is not used.

use std::io;
use std::path::Path;

/// Makes the folder if it isn't there, and sees to it that nobody else's hand is or was in it.
#[cfg(unix)]
pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    use std::fs;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};

    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let found = fs::metadata(folder)?;
    // Who we are is best told by what we make.
    let ours = tempfile::tempfile()?.metadata()?.uid();
    if found.uid() != ours {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the folder belongs to another user"));
    }
    let others_could_write = found.mode() & 0o022 != 0;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    if others_could_write {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
        }
    }
    Ok(())
}

/// Makes the folder if it isn't there.
#[cfg(not(unix))]
pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_others_could_have_put_there_is_thrown_away_and_our_own_is_kept() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("compiled");
        super::make_private(&folder).unwrap();
        let mode = || fs::metadata(&folder).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o700);
        fs::create_dir(folder.join("modules")).unwrap();
        fs::write(folder.join("modules/ours"), "code").unwrap();
        super::make_private(&folder).unwrap();
        assert!(folder.join("modules/ours").exists());

        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(folder.join("foreign"), "code").unwrap();
        super::make_private(&folder).unwrap();
        assert_eq!((fs::read_dir(&folder).unwrap().count(), mode()), (0, 0o700));
    }
}
