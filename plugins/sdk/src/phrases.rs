//! Many phrases looked for in one pass over a folded text. The table is made when the plugin is compiled: an instance
//! lives for one call and has no time to build one.

use std::ops::ControlFlow;

/// Chains of phrases; a power of two, so that the hash's upper bits choose one.
const CHAINS: usize = 2048;

/// The end of a chain.
const NONE: u16 = u16::MAX;

/// The bytes by which a phrase's chain is chosen: no phrase may be shorter.
const KEY_BYTES: usize = 3;

/// Lists of phrases (see [`crate::text::fold`]), each list with the marks that its phrases stand for.
///
/// ```
/// use ampout_plugin::phrases::{Phrases, count};
/// const LISTS: &[(u32, &[&str])] = &[(1, &["user unknown", "no such user"]), (2, &["quota"])];
/// static TABLE: Phrases<{ count(LISTS) }> = Phrases::new(LISTS);
/// assert_eq!(TABLE.marks_in("550 user unknown"), 1);
/// assert_eq!(TABLE.marks_in("nobody knows"), 0);
/// ```
#[derive(Debug)]
pub struct Phrases<const N: usize> {
    phrases: [(&'static str, u32); N],
    next: [u16; N],
    heads: [u16; CHAINS],
}

/// A phrase where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Where the phrase begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// What it stands for.
    pub marks: u32,
}

/// How many phrases the lists have together.
#[must_use]
pub const fn count(lists: &[(u32, &[&str])]) -> usize {
    let (mut sum, mut at) = (0, 0);
    while at < lists.len() {
        sum += lists[at].1.len();
        at += 1;
    }
    sum
}

impl<const N: usize> Phrases<N> {
    /// Makes the table.
    ///
    /// # Panics
    /// Where it is made in a constant, compiling fails: for a phrase of less than three bytes, or too many of them.
    #[must_use]
    pub const fn new(lists: &[(u32, &[&'static str])]) -> Self {
        assert!(N < NONE as usize, "too many phrases");
        let mut table = Self { phrases: [("", 0); N], next: [NONE; N], heads: [NONE; CHAINS] };
        let (mut at, mut list) = (0, 0);
        while list < lists.len() {
            let (marks, phrases) = lists[list];
            let mut each = 0;
            while each < phrases.len() {
                let bytes = phrases[each].as_bytes();
                assert!(bytes.len() >= KEY_BYTES, "a phrase is too short");
                let chain = chain_of(bytes[0], bytes[1], bytes[2]);
                table.phrases[at] = (phrases[each], marks);
                table.next[at] = table.heads[chain];
                table.heads[chain] = at as u16;
                at += 1;
                each += 1;
            }
            list += 1;
        }
        table
    }

    /// Every phrase, as it was given.
    pub fn all(&self) -> impl Iterator<Item = &'static str> {
        self.phrases.iter().map(|(phrase, _)| *phrase)
    }

    /// The marks of all phrases that stand in `folded`.
    #[must_use]
    pub fn marks_in(&self, folded: &str) -> u32 {
        let mut all = 0;
        self.each_in(folded, |found| {
            all |= found.marks;
            ControlFlow::Continue(())
        });
        all
    }

    /// Tells of every phrase in the order in which they begin, until told to stop. A phrase that begins with a letter
    /// or a digit is found only where a word begins; one in a script that puts no spaces between words, anywhere.
    pub fn each_in(&self, folded: &str, mut tell: impl FnMut(Found) -> ControlFlow<()>) {
        let bytes = folded.as_bytes();
        let mut inside_word = false;
        for (start, key) in bytes.windows(KEY_BYTES).enumerate() {
            let [first, second, third] = *key else { return };
            let is_in_word = first.is_ascii_alphanumeric() || first >= 0x80;
            let may_begin = !inside_word || !is_in_word || first >= 0xE0;
            inside_word = is_in_word;
            if !may_begin {
                continue;
            }
            let mut at = self.heads[chain_of(first, second, third)];
            while let Some((phrase, marks)) = self.phrases.get(usize::from(at)) {
                if bytes[start..].starts_with(phrase.as_bytes()) {
                    let found = Found { start, end: start + phrase.len(), marks: *marks };
                    if tell(found).is_break() {
                        return;
                    }
                }
                at = self.next[usize::from(at)];
            }
        }
    }
}

const fn chain_of(first: u8, second: u8, third: u8) -> usize {
    let key = first as u32 | (second as u32) << 8 | (third as u32) << 16;
    (key.wrapping_mul(0x9E37_79B1) >> (u32::BITS - CHAINS.trailing_zeros())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTS: &[(u32, &[&str])] =
        &[(1, &["user unknown", "user"]), (2, &["quota", "(delay)"]), (4, &["不在", "ответ"])];
    static TABLE: Phrases<{ count(LISTS) }> = Phrases::new(LISTS);

    #[track_caller]
    fn check(text: &str, expected: u32) {
        assert_eq!(TABLE.marks_in(text), expected, "in {text:?}");
    }

    #[test]
    fn phrases_are_found_where_words_begin() {
        check("550 user unknown", 1);
        check("<user", 1);
        check("superuser", 0);
        check("overquota", 0);
        check("over-quota", 2);
        check("status (delay)", 2);
        check("x(delay)", 2);
        check("本日は不在です", 4);
        check("автоответ", 0);
        check("ответ: user", 5);
        check("us", 0);
        check("", 0);
    }

    #[test]
    fn each_is_told_with_its_place_until_told_to_stop() {
        let mut seen = Vec::new();
        TABLE.each_in("a user unknown quota", |found| {
            seen.push((found.start, found.end, found.marks));
            if found.marks == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        seen.sort_unstable();
        assert_eq!(seen, [(2, 6, 1), (2, 14, 1), (15, 20, 2)]);
    }
}
