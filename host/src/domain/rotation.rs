//! Rotation: round robin over the credentials that have capacity left today.

use super::ids::CredentialId;

/// A credential that may send, and how many first steps it may still send today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Which credential.
    pub credential_id: CredentialId,
    /// Its limit less what is reserved today.
    pub left: u64,
}

/// Assigns `wanted` sends: in turn, beginning after `last`, passing over those that are used up. Shorter than `wanted`
/// when all are. `credentials` is in its fixed order.
pub fn assign(credentials: &[Capacity], last: Option<CredentialId>, wanted: usize) -> Vec<CredentialId> {
    let after_last =
        last.and_then(|last| credentials.iter().position(|c| c.credential_id == last)).map_or(0, |n| n + 1);
    let mut left: Vec<u64> = credentials.iter().map(|c| c.left).collect();
    let mut assigned = Vec::with_capacity(wanted.min(1024));
    let mut turn = after_last;
    let mut used_up_in_a_row = 0;
    while assigned.len() < wanted && used_up_in_a_row < credentials.len() {
        let n = turn % credentials.len();
        turn += 1;
        if left[n] == 0 {
            used_up_in_a_row += 1;
            continue;
        }
        used_up_in_a_row = 0;
        left[n] -= 1;
        assigned.push(credentials[n].credential_id);
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    fn credentials(left: &[u64]) -> Vec<Capacity> {
        left.iter()
            .map(|left| Capacity { credential_id: CredentialId::new(Timestamp::from_millis(0)), left: *left })
            .collect()
    }

    #[track_caller]
    fn check(left: &[u64], last: Option<usize>, wanted: usize, expected: &[usize]) {
        let credentials = credentials(left);
        let assigned = assign(&credentials, last.map(|n| credentials[n].credential_id), wanted);
        let places: Vec<_> =
            assigned.iter().map(|id| credentials.iter().position(|c| c.credential_id == *id).unwrap()).collect();
        assert_eq!(places, expected);
    }

    #[test]
    fn takes_turns_from_where_it_stopped() {
        check(&[10, 10, 10], None, 4, &[0, 1, 2, 0]);
        check(&[10, 10, 10], Some(0), 3, &[1, 2, 0]);
        check(&[10, 10, 10], Some(2), 1, &[0]);
    }

    #[test]
    fn passes_over_what_is_used_up_and_stops_when_all_is() {
        check(&[0, 2], None, 5, &[1, 1]);
        check(&[1, 3], None, 9, &[0, 1, 1, 1]);
        check(&[0, 0], None, 2, &[]);
        check(&[], None, 2, &[]);
    }
}
