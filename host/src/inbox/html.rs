//! HTML turned into text that people and rules can read: blocks on lines of their own, quotations behind `>`.

use super::decode::tags_left_out;

/// Wide enough that a sentence stays on its line.
const WIDTH: usize = 400;
/// HTML beyond this is not read.
const MAX_HTML_BYTES: usize = 256 << 10;
/// How deep elements may stand in each other before the quick way is taken: the layout costs more with each level.
const MAX_OPEN_TAGS: usize = 400;

/// The text of an HTML document.
pub(super) fn html_to_text(html: &str) -> String {
    let html = cut(html, MAX_HTML_BYTES);
    if deepest_nesting(html) > MAX_OPEN_TAGS {
        return tags_left_out(html);
    }
    let layout = html2text::config::plain_no_decorate().raw_mode(true).allow_width_overflow();
    layout.string_from_read(html.as_bytes(), WIDTH).unwrap_or_else(|_| tags_left_out(html))
}

/// The longest beginning of `text` that has at most `bytes` bytes and ends between characters.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// An upper bound: an element without a closing tag counts as open until something else closes.
fn deepest_nesting(html: &str) -> usize {
    const WITHOUT_CONTENT: [&str; 8] = ["br", "img", "meta", "hr", "link", "input", "!", "?"];
    let (mut open, mut deepest) = (0_usize, 0);
    for tag in html.split('<').skip(1) {
        let name = tag.split(|c: char| c.is_whitespace() || c == '>').next().unwrap_or_default();
        let is = |void: &&str| name.get(..void.len()).is_some_and(|start| start.eq_ignore_ascii_case(void));
        if name.starts_with('/') {
            open = open.saturating_sub(1);
        } else if !WITHOUT_CONTENT.iter().any(is) {
            open += 1;
            deepest = deepest.max(open);
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(html: &str, expected: &str) {
        assert_eq!(html_to_text(html).trim(), expected);
    }

    #[test]
    fn blocks_stand_on_lines_and_tags_are_gone() {
        check("<p>Hello <b>Bob</b>,</p><p>I am away.</p>", "Hello Bob,\n\nI am away.");
        check("<style>p{color:red}</style><div>one</div><div>two</div>", "one\ntwo");
        check("<blockquote>quoted</blockquote>mine", "> quoted\n\nmine");
        check("<table><tr><td>a</td></tr><tr><td>b</td></tr></table>", "a\nb");
        check("no tags &amp; so on", "no tags & so on");
        check("", "");
    }

    #[test]
    fn hostile_html_ends() {
        assert!(html_to_text(&"<div>".repeat(200_000)).trim().is_empty());
        assert!(html_to_text(&"<p>x".repeat(50_000)).contains('x'));
        html_to_text(&"<table><tr><td>".repeat(100));
        html_to_text(&"<a href=\"".repeat(10_000));
        html_to_text(&format!("<hr>{}", "<blockquote>".repeat(300)));
    }
}
