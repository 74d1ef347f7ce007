//! The browser shows what it is given, and runs no script where it may not.

use ampout_tests::{Browser, Scripts};

const PAGE: &str = "data:text/html,<title>off</title><h1>Hello</h1><script>document.title='on'</script>";

#[tokio::test]
async fn scripts_run_or_do_not_as_told() -> anyhow::Result<()> {
    for (scripts, title) in [(Scripts::Run, "on"), (Scripts::Off, "off")] {
        let browser = Browser::start(scripts).await?;
        browser.open(PAGE).await?;
        assert_eq!((browser.title().await?.as_str(), browser.text_of("h1").await?.as_str()), (title, "Hello"));
        assert_eq!(browser.announced("h1").await?, ("heading".to_owned(), "Hello".to_owned()));
    }
    Ok(())
}
