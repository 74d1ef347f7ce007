//! What the log tells of the folders: which file was bound, which stands behind another of its name, and whose bindings went
//! with it. An operator who dropped a file sees here what came of it.

use super::super::{Catalog, CatalogError};
use super::Changes;
use super::gone::{FromFile, Gone, kept};
use crate::store::extensions::StoredExtension;

/// The version that is bound of a name whose files changed, and the files of the name that are not.
#[derive(Debug, PartialEq)]
struct Standing<'a> {
    bound: (&'a str, &'a StoredExtension),
    behind: Vec<(&'a str, &'a StoredExtension)>,
}

impl Catalog {
    /// Logs what came of files that changed.
    pub(super) async fn log_changes(&self, changes: &Changes, gone: &Gone) -> Result<(), CatalogError> {
        for FromFile { file, version } in &gone.heirs {
            tracing::info!(
                extension.name = version.name,
                extension.version = version.version,
                extension.file = file,
                "The file of the version in force is gone; that of another file is bound in its place"
            );
        }
        for FromFile { file, version } in &gone.unbound {
            tracing::info!(
                extension.name = version.name,
                extension.version = version.version,
                extension.file = file,
                "A file of the extension folders is gone, and with it the bindings of its extension"
            );
        }
        if changes.arrived.is_empty() {
            return Ok(());
        }
        let mut conn = self.0.app.store.read().await?;
        let kept = kept(&mut conn, changes).await?;
        drop(conn);
        for Standing { bound: (file, version), behind } in standings(&changes.arrived, &kept) {
            tracing::info!(
                extension.name = version.name,
                extension.version = version.version,
                extension.file = file,
                "A file of the extension folders is loaded and bound"
            );
            for (other, version) in behind {
                tracing::warn!(
                    extension.name = version.name,
                    extension.version = version.version,
                    extension.file = other,
                    bound.file = file,
                    "Two files have one extension's name; the one that changed last is bound, and this one is not"
                );
            }
        }
        Ok(())
    }
}

/// Of those that arrive together the last one is bound, as [`Catalog::put_in_force`] puts one after the other.
fn standings<'a>(arrived: &'a [StoredExtension], kept: &'a [(String, StoredExtension)]) -> Vec<Standing<'a>> {
    let is_last = |at: usize| arrived[at + 1..].iter().all(|later| later.name != arrived[at].name);
    let bound = (0..arrived.len()).filter(|at| is_last(*at)).map(|at| &arrived[at]);
    let standing = |version: &'a StoredExtension| {
        let of_name = kept.iter().filter(|(_, other)| other.name == version.name);
        let (same, behind): (Vec<_>, Vec<_>) =
            of_name.map(|(file, other)| (file.as_str(), other)).partition(|(_, other)| other.id == version.id);
        Some(Standing { bound: *same.last()?, behind })
    };
    bound.filter_map(standing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;
    use crate::domain::ids::ExtensionId;

    fn version(name: &str, version: &str) -> StoredExtension {
        let now = Timestamp::from_millis(0);
        StoredExtension {
            id: ExtensionId::new(now),
            account_id: None,
            name: name.to_owned(),
            version: version.to_owned(),
            engine: "script".to_owned(),
            hooks: Vec::new(),
            sha256: String::new(),
            origin: "folder".to_owned(),
            status: "active".to_owned(),
            manifest: serde_json::Value::Null,
            obeyed_in: None,
            created_at: now,
        }
    }

    #[test]
    fn of_two_files_with_one_name_the_one_that_is_not_bound_is_told() {
        let (old, new, other) = (version("a", "1.0.0"), version("a", "2.0.0"), version("b", "1.0.0"));
        let file = |name: &str, version: &StoredExtension| (name.to_owned(), version.clone());
        let kept = [file("scripts/old.rhai", &old), file("scripts/new.rhai", &new), file("scripts/b.rhai", &other)];
        // Both at once, then the second alone.
        for arrived in [vec![old.clone(), other.clone(), new.clone()], vec![new.clone()]] {
            let told = standings(&arrived, &kept);
            let of_a = told.iter().find(|standing| standing.bound.1.name == "a").unwrap();
            assert_eq!(of_a.bound, ("scripts/new.rhai", &new));
            assert_eq!(of_a.behind, [("scripts/old.rhai", &old)]);
            assert_eq!(told.len(), if arrived.len() == 1 { 1 } else { 2 });
        }
        // Two copies of one file are no two versions.
        let kept = [file("scripts/b.rhai", &other), file("scripts/copy.rhai", &other)];
        let arrived = [other.clone(), other.clone()];
        assert_eq!(standings(&arrived, &kept), [Standing { bound: ("scripts/copy.rhai", &other), behind: Vec::new() }]);
    }
}
