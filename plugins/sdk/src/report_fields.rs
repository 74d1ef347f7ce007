//! The header-like lines that machine-readable reports are made of (RFC 3464 section 2.1.1, RFC 5965 section 3.1), read
//! with tolerance for what servers really write.

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReportLine {
    /// An empty line.
    Blank,
    /// A field: its name in lower case and its value, unfolded.
    Field(String, String),
}

/// No report has more lines that matter.
const MOST_LINES: usize = 4096;

/// Splits a report. A folded line belongs to the field before it, and so does a line that has no colon, because some
/// servers break a long diagnostic without the white space that RFC 5322 section 2.2.3 asks for.
pub(crate) fn report_lines(content: &str) -> Vec<ReportLine> {
    let mut lines: Vec<ReportLine> = Vec::new();
    for line in content.split('\n').take(MOST_LINES) {
        let line = line.trim_end_matches('\r');
        let text = line.trim();
        if text.is_empty() {
            lines.push(ReportLine::Blank);
        } else if let (false, Some((name, value))) = (line.starts_with([' ', '\t']), field(line)) {
            lines.push(ReportLine::Field(name, value));
        } else if let Some(ReportLine::Field(_, value)) = lines.last_mut() {
            value.push(' ');
            value.push_str(text);
        }
    }
    lines
}

fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let name = name.trim_end();
    let sound =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    sound.then(|| (name.to_ascii_lowercase(), value.trim().to_owned()))
}

/// The value of a typed field (`rfc822; a@example.com`, `smtp; 550 …`) without its type.
pub(crate) fn without_type(value: &str) -> &str {
    match value.split_once(';') {
        Some((kind, rest)) if !kind.contains(['@', ' ', '<']) => rest.trim(),
        _ => value.trim(),
    }
}
