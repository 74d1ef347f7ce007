//! The door to html2text: HTML as text that people and rules can read. It is asked about strangers' mail and customers'
//! templates, so every input ends, with some text, within bounds.

use std::panic::{AssertUnwindSafe, catch_unwind};

use html2text::config::{Config, plain_no_decorate};
use html2text::render::PlainDecorator;

/// Wide enough that a sentence stays on its line.
const MAIL_WIDTH: usize = 400;
/// RFC 5322 §2.1.1.
const TEMPLATE_WIDTH: usize = 78;
/// Of a mail: HTML beyond this is not read.
const MAX_MAIL_BYTES: usize = 256 << 10;
/// How deep elements may stand in each other before the quick way is taken: the layout costs more with each level.
const MAX_OPEN_TAGS: usize = 400;
/// Elements that are laid out as blocks.
const TABLE_TAGS: [&str; 7] = ["table", "thead", "tbody", "tfoot", "tr", "td", "th"];

/// What a mail's HTML says: blocks on lines of their own, quotations behind `>`, no addresses of links.
pub fn of_mail(html: &str) -> String {
    let html = &html[..html.floor_char_boundary(MAX_MAIL_BYTES)];
    laid_out(html, plain_no_decorate(), MAIL_WIDTH)
}

/// The plain alternative of HTML that is sent. Where links lead stands below; an address is never broken.
pub fn of_template(html: &str) -> String {
    laid_out(html, plain_no_decorate().link_footnotes(true).no_link_wrapping(), TEMPLATE_WIDTH)
}

fn laid_out(html: &str, layout: Config<PlainDecorator>, width: usize) -> String {
    if deepest_nesting(html) > MAX_OPEN_TAGS {
        return tags_left_out(html);
    }
    let layout = layout.raw_mode(true).allow_width_overflow();
    let html = tables_as_blocks(html);
    // It is not ours, and has asserted what HTML did not hold.
    let text = catch_unwind(AssertUnwindSafe(|| layout.string_from_read(html.as_bytes(), width)));
    text.ok().and_then(Result::ok).unwrap_or_else(|| tags_left_out(&html))
}

/// HTML as text by leaving the tags out: quick, and at home with any input.
fn tags_left_out(html: &str) -> String {
    mail_parser::decoders::html::html_to_text(html)
}

/// Cells and rows as blocks, which is how they are read here anyway. Laid out as a table, one whose cells reach over rows
/// that are not there makes html2text panic, and memory grows with rows times columns: a mail of 200 KB could ask for
/// gigabytes.
fn tables_as_blocks(html: &str) -> String {
    let mut all = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let slash = usize::from(rest[at + 1..].starts_with('/'));
        let (before, tag) = rest.split_at(at + 1 + slash);
        all.push_str(before);
        let name = tag.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let (name, after) = tag.split_at(name);
        let is_of_tables = TABLE_TAGS.iter().any(|of_tables| name.eq_ignore_ascii_case(of_tables));
        all.push_str(if is_of_tables { "div" } else { name });
        rest = after;
    }
    all.push_str(rest);
    all
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
        assert_eq!(of_mail(html).trim(), expected);
    }

    #[test]
    fn blocks_stand_on_lines_and_tags_are_gone() {
        check("<p>Hello <b>Bob</b>,</p><p>I am away.</p>", "Hello Bob,\n\nI am away.");
        check("<style>p{color:red}</style><div>one</div><div>two</div>", "one\ntwo");
        check("<blockquote>quoted</blockquote>mine", "> quoted\n\nmine");
        check("<TABLE><tr><td>a</td><Td class=x>b</tr><tr><td>c</td></tr></TABLE>", "a\nb\nc");
        check("1 &lt;td&gt; <track>2", "1 <td> 2");
        check("no tags &amp; so on", "no tags & so on");
        check("", "");
    }

    #[test]
    fn links_of_templates_stand_below_and_whole() {
        let address = format!("https://x.test/?q={}", "long".repeat(40));
        let text = of_template(&format!(
            "<p>See <a href=\"{address}\">this</a></p><table><td>{}</td></table>",
            "word ".repeat(30)
        ));
        assert!(text.starts_with("See [this][1]\n") && text.contains(&address), "{text}");
        assert!(text.lines().filter(|line| !line.contains("long")).all(|line| line.len() <= TEMPLATE_WIDTH), "{text}");
    }

    #[test]
    fn hostile_html_ends() {
        assert!(of_mail(&"<div>".repeat(200_000)).trim().is_empty());
        assert!(of_mail(&"<p>x".repeat(50_000)).contains('x'));
        of_mail(&"<table><tr><td>".repeat(100));
        of_mail(&"<a href=\"".repeat(10_000));
        of_mail(&format!("<hr>{}", "<blockquote>".repeat(300)));
    }

    #[test]
    fn tables_that_claim_more_than_they_have_are_read() {
        check("<table><tr><td>a</td><td colspan=2 rowspan=2>b</td></tr></table>", "a\nb");
        check("<td colspan=18446744073709551615>a</td><td>b</td>", "a\nb");
        let wide =
            format!("<table><tr>{}</tr>{}</table>", "<td>x</td>".repeat(12_000), "<tr><td>y</td></tr>".repeat(7_000));
        assert!(of_mail(&wide).ends_with("y\n"));
    }
}
