//! From a step and a contact to a subject and two bodies. The preview and the real message are made here alike.

use std::time::Duration;

use crate::domain::campaign::Step;
use crate::domain::contact::Contact;
use crate::domain::merge_tags::{BadTemplate, Template};

const TEXT_WIDTH: usize = 78;

/// A step whose templates are parsed.
#[derive(Debug, Clone)]
pub struct CompiledStep {
    /// From 1.
    pub position: u32,
    /// After the step before was accepted.
    pub delay: Duration,
    subject: Template,
    html: Template,
    text: Template,
}

/// What one recipient gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// With the pixel, where one is asked for.
    pub html: String,
    /// The alternative.
    pub text: String,
}

impl CompiledStep {
    /// Parses a step's templates. A missing text is made from the HTML, its tags kept.
    pub fn compile(step: &Step) -> Result<Self, BadTemplate> {
        let text = step.body_text.clone().unwrap_or_else(|| text_of_html(&step.body_html));
        Ok(Self {
            position: step.position,
            delay: step.delay,
            subject: Template::parse(&step.subject)?,
            html: Template::parse(&step.body_html)?,
            text: Template::parse(&text)?,
        })
    }

    /// Fills in a contact's values; `pixel` is the address of the open pixel.
    pub fn render(&self, contact: &Contact, pixel: Option<&str>) -> Rendered {
        let values = contact.merge_values();
        let html = self.html.render_html(&values);
        Rendered {
            subject: self.subject.render_text(&values),
            html: match pixel {
                Some(url) => with_pixel(&html, url),
                None => html,
            },
            text: self.text.render_text(&values),
        }
    }
}

/// Before the end of the body where there is one, else at the end.
fn with_pixel(html: &str, url: &str) -> String {
    let pixel = format!(r#"<img src="{url}" width="1" height="1" alt="" style="display:none">"#);
    let lower = html.to_ascii_lowercase();
    match lower.rfind("</body") {
        Some(at) => format!("{}{pixel}{}", &html[..at], &html[at..]),
        None => format!("{html}{pixel}"),
    }
}

/// Plain text of HTML, links as footnotes. What can't be read as HTML is its own text.
fn text_of_html(html: &str) -> String {
    let text =
        html2text::config::plain_no_decorate().link_footnotes(true).string_from_read(html.as_bytes(), TEXT_WIDTH);
    text.unwrap_or_else(|_| html.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;
    use crate::domain::ids::{ContactId, ContactImportId, StepId};

    fn rendered(body_html: &str, body_text: Option<&str>, pixel: Option<&str>) -> Rendered {
        let zero = Timestamp::from_millis(0);
        let step = Step {
            id: StepId::new(zero),
            position: 1,
            subject: "Hi {{first_name}}".to_owned(),
            body_html: body_html.to_owned(),
            body_text: body_text.map(str::to_owned),
            delay: Duration::ZERO,
        };
        let contact = Contact {
            id: ContactId::new(zero),
            contact_import_id: ContactImportId::new(zero),
            email: "ada@example.org".to_owned(),
            domain: "example.org".to_owned(),
            first_name: Some("Ada".to_owned()),
            last_name: None,
            company: Some("R&D".to_owned()),
            unsubscribed_at: None,
            created_at: zero,
        };
        CompiledStep::compile(&step).unwrap().render(&contact, pixel)
    }

    #[test]
    fn a_missing_text_is_made_from_the_html() {
        let made = rendered(
            "<p>Hello {{first_name}} of {{company}}</p><p>See <a href=\"https://x.test/\">this</a></p>",
            None,
            None,
        );
        assert_eq!(made.subject, "Hi Ada");
        assert!(made.html.contains("R&amp;D"));
        assert!(made.text.contains("Hello Ada of R&D"), "{}", made.text);
        assert!(made.text.contains("https://x.test/"), "{}", made.text);
        assert_eq!(rendered("<p>x</p>", Some("own {{email}}"), None).text, "own ada@example.org");
    }

    #[test]
    fn the_pixel_stands_before_the_end_of_the_body() {
        assert!(
            rendered("<BODY>x</BODY></html>", None, Some("https://t/x.gif")).html.contains("none\"></BODY></html>")
        );
        assert!(rendered("<p>x</p>", None, Some("https://t/x.gif")).html.ends_with("display:none\">"));
        assert!(!rendered("<p>x</p>", None, None).html.contains("img"));
    }
}
