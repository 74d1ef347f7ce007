//! Merge tags: `{{first_name}}` and its three siblings. A template is parsed once, when a campaign is created, and an
//! unknown tag is refused there, so that rendering can't fail.

/// What a tag stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    FirstName,
    LastName,
    Email,
    Company,
}

/// The values of one contact; what is null in the database is an empty string here.
#[derive(Debug, Clone, Copy, Default)]
pub struct MergeValues<'a> {
    /// `{{first_name}}`
    pub first_name: &'a str,
    /// `{{last_name}}`
    pub last_name: &'a str,
    /// `{{email}}`
    pub email: &'a str,
    /// `{{company}}`
    pub company: &'a str,
}

/// A parsed text with merge tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Tag(Tag),
}

/// A tag that is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    /// `{{nickname}}`
    #[error(
        "unknown merge tag {{{{{tag}}}}}; the tags are {{{{first_name}}}}, {{{{last_name}}}}, {{{{email}}}} and {{{{company}}}}"
    )]
    UnknownTag {
        /// What stood between the braces.
        tag: String,
    },
    /// `{{first_name`
    #[error("a merge tag is opened with {{{{ and not closed with }}}}")]
    Unclosed,
}

impl Template {
    /// Parses `text`; `}}` alone and single braces are text.
    pub fn parse(text: &str) -> Result<Self, BadTemplate> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or(BadTemplate::Unclosed)?;
            let tag = Tag::of(name.trim())
                .ok_or_else(|| BadTemplate::UnknownTag { tag: name.trim().chars().take(40).collect() })?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Tag(tag));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self { pieces })
    }

    /// The same in another form: `convert` gets the text with one character in the place of each tag, which it must keep.
    /// A tag as it is written could be cut in two by whoever breaks lines; braces that come in on the way are text.
    #[must_use]
    pub fn converted(&self, convert: impl FnOnce(&str) -> String) -> Self {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                // Nobody means something by these characters; taken for tags they would say what nobody wrote.
                Piece::Text(given) => text.extend(given.chars().filter(|c| Tag::of_stand_in(*c).is_none())),
                Piece::Tag(tag) => text.push(tag.stand_in()),
            }
        }
        let converted = convert(&text);
        let mut pieces = Vec::new();
        for part in converted.split_inclusive(|c| Tag::of_stand_in(c).is_some()) {
            let tag = part.chars().next_back().and_then(Tag::of_stand_in);
            let text = tag.map_or(part, |tag| &part[..part.len() - tag.stand_in().len_utf8()]);
            if !text.is_empty() {
                pieces.push(Piece::Text(text.to_owned()));
            }
            pieces.extend(tag.map(Piece::Tag));
        }
        Self { pieces }
    }

    /// Renders for plain text and subjects. Line breaks in values become blanks: a subject is one line.
    pub fn render_text(&self, values: &MergeValues<'_>) -> String {
        self.render(values, |value, out| out.extend(value.chars().map(|c| if c.is_control() { ' ' } else { c })))
    }

    /// Renders for HTML, the values escaped.
    pub fn render_html(&self, values: &MergeValues<'_>) -> String {
        self.render(values, push_escaped)
    }

    fn render(&self, values: &MergeValues<'_>, push: impl Fn(&str, &mut String)) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Tag(tag) => push(tag.value(values), &mut out),
            }
        }
        out
    }
}

impl Tag {
    fn of(name: &str) -> Option<Self> {
        match name {
            "first_name" => Some(Self::FirstName),
            "last_name" => Some(Self::LastName),
            "email" => Some(Self::Email),
            "company" => Some(Self::Company),
            _ => None,
        }
    }

    /// From the last plane of characters for private use, where no font and no mail has any.
    fn stand_in(self) -> char {
        match self {
            Self::FirstName => '\u{100000}',
            Self::LastName => '\u{100001}',
            Self::Email => '\u{100002}',
            Self::Company => '\u{100003}',
        }
    }

    fn of_stand_in(c: char) -> Option<Self> {
        [Self::FirstName, Self::LastName, Self::Email, Self::Company].into_iter().find(|tag| tag.stand_in() == c)
    }

    fn value<'a>(self, values: &MergeValues<'a>) -> &'a str {
        match self {
            Self::FirstName => values.first_name,
            Self::LastName => values.last_name,
            Self::Email => values.email,
            Self::Company => values.company,
        }
    }
}

fn push_escaped(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: MergeValues<'static> =
        MergeValues { first_name: "Ada", last_name: "", email: "ada@example.org", company: "B & <B>\r\nBcc: x" };

    #[test]
    fn values_are_escaped_in_html_and_kept_on_one_line_in_text() {
        let template = Template::parse("Hi {{ first_name }}{{last_name}}, {{company}} {}").unwrap();
        assert_eq!(template.render_html(&ADA), "Hi Ada, B &amp; &lt;B&gt;\r\nBcc: x {}");
        assert_eq!(template.render_text(&ADA), "Hi Ada, B & <B>  Bcc: x {}");
    }

    #[test]
    fn a_text_in_another_form_has_the_same_tags() {
        let template = Template::parse("Hi {{first_name}}\u{100002}, {{email}}{{company}}").unwrap();
        let shouted = template.converted(|text| text.to_uppercase() + "{{last_name}}");
        assert_eq!(shouted.render_text(&ADA), "HI Ada, ada@example.orgB & <B>  Bcc: x{{last_name}}");
    }

    #[test]
    fn unknown_and_unclosed_tags_are_refused() {
        let unknown = Template::parse("Hi {{nickname}}").unwrap_err();
        assert!(unknown.to_string().starts_with("unknown merge tag {{nickname}}; the tags are {{first_name}}"));
        assert_eq!(Template::parse("Hi {{first_name").unwrap_err(), BadTemplate::Unclosed);
    }
}
