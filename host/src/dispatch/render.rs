//! From a step and a contact to a subject and two bodies. The preview and the real message are made here alike.

use std::time::Duration;

use crate::domain::campaign::Step;
use crate::domain::contact::Contact;
use crate::domain::merge_tags::{BadTemplate, Template};
use crate::html_text;

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
        let html = Template::parse(&step.body_html)?;
        let text = match &step.body_text {
            Some(text) => Template::parse(text)?,
            None => html.converted(html_text::of_template),
        };
        Ok(Self { position: step.position, delay: step.delay, subject: Template::parse(&step.subject)?, html, text })
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
    fn a_text_that_is_made_has_the_tags_of_its_html_and_no_others() {
        let long = "word ".repeat(60);
        let made = rendered(
            &format!(
                "<table><tr><td>{long}</td><td>{{{{ first_name }}}}</td></tr></table>&#123;&#123;x}}}}
                 <a href=\"https://app.example.com/welcome/spring-2026?utm_source=a&amp;email={{{{email}}}}\">in</a>"
            ),
            None,
            None,
        );
        assert!(made.text.lines().any(|line| line == "Ada"), "{}", made.text);
        assert!(made.text.contains("{{x}}"), "{}", made.text);
        assert!(made.text.contains("/spring-2026?utm_source=a&email=ada@example.org"), "{}", made.text);
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
