//! A person's browser: headless Chromium, told what to do over WebDriver (W3C), with a new profile and, where asked for,
//! without JavaScript.

use std::process::Command;
use std::time::Duration;

use ampout::tls::TlsClient;
use anyhow::{Context, ensure};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::api::text;
use crate::free_port::{free_port, retry_while_ports_are_taken};
use crate::process::{Launch, Server, find_program, new_directory};

/// The key under which WebDriver hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// What a browser in a container can do without, and what it would ask the network for by itself.
const ARGUMENTS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // The browser ends with its driver: it loses its other end.
    "--remote-debugging-pipe",
];
const LONGEST_CALL: Duration = Duration::from_secs(60);

/// Whether pages may run scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scripts {
    /// As most people have it.
    Run,
    /// As careful people have it.
    Off,
}

/// A running browser. Dropping it ends it.
#[derive(Debug)]
pub struct Browser {
    http: Client,
    session: String,
    _driver: Server,
}

impl Browser {
    /// Starts one with an empty page.
    pub async fn start(scripts: Scripts) -> anyhow::Result<Self> {
        let (driver, base) = retry_while_ports_are_taken(start_driver).await?;
        let tls = TlsClient::with_extra_ca_file(None)?;
        let http = Client::builder().tls_backend_preconfigured(tls.config().as_ref().clone());
        let http = http.no_proxy().timeout(LONGEST_CALL).build()?;
        let profile = driver.directory().join("profile");
        let profile = format!("--user-data-dir={}", profile.display());
        let arguments: Vec<&str> = ARGUMENTS.iter().copied().chain([profile.as_str()]).collect();
        // 2: blocked, in Chromium's words.
        let content = match scripts {
            Scripts::Run => json!({}),
            Scripts::Off => json!({ "profile.managed_default_content_settings.javascript": 2 }),
        };
        let options = json!({ "binary": find_program("chromium", &[])?, "args": arguments, "prefs": content });
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let made = call(&http, Method::POST, format!("{base}/session"), Some(wanted)).await;
        let made = made.with_context(|| driver.log_shown())?;
        let session = format!("{base}/session/{}", text(&made["sessionId"])?);
        Ok(Self { http, session, _driver: driver })
    }

    /// Opens an address and waits until it is loaded.
    pub async fn open(&self, url: &str) -> anyhow::Result<()> {
        self.post("/url", json!({ "url": url })).await.map(drop)
    }

    /// The title of the page.
    pub async fn title(&self) -> anyhow::Result<String> {
        Ok(text(&self.get("/title").await?)?.to_owned())
    }

    /// What the page is made of, as it stands now.
    pub async fn source(&self) -> anyhow::Result<String> {
        Ok(text(&self.get("/source").await?)?.to_owned())
    }

    /// How many elements there are of a CSS selector.
    pub async fn count(&self, selector: &str) -> anyhow::Result<usize> {
        let found = self.post("/elements", json!({ "using": "css selector", "value": selector })).await?;
        Ok(found.as_array().map_or(0, Vec::len))
    }

    /// The text that a person reads in an element.
    pub async fn text_of(&self, selector: &str) -> anyhow::Result<String> {
        let path = format!("{}/text", self.element(selector).await?);
        Ok(text(&self.get(&path).await?)?.to_owned())
    }

    /// An element as a screen reader has it: its role and its name.
    pub async fn announced(&self, selector: &str) -> anyhow::Result<(String, String)> {
        let element = self.element(selector).await?;
        let role = self.get(&format!("{element}/computedrole")).await?;
        let label = self.get(&format!("{element}/computedlabel")).await?;
        Ok((text(&role)?.to_owned(), text(&label)?.to_owned()))
    }

    /// The value of a CSS property that an element is drawn with.
    pub async fn style(&self, selector: &str, property: &str) -> anyhow::Result<String> {
        let path = format!("{}/css/{property}", self.element(selector).await?);
        Ok(text(&self.get(&path).await?)?.to_owned())
    }

    /// Clicks an element, as a mouse does.
    pub async fn click(&self, selector: &str) -> anyhow::Result<()> {
        let path = format!("{}/click", self.element(selector).await?);
        self.post(&path, json!({})).await.map(drop)
    }

    /// Presses keys one after the other, wherever the focus is.
    pub async fn press(&self, keys: &[Key]) -> anyhow::Result<()> {
        let strokes = keys.iter().flat_map(|key| {
            let value = char::from(*key).to_string();
            [json!({ "type": "keyDown", "value": value }), json!({ "type": "keyUp", "value": value })]
        });
        let strokes: Vec<Value> = strokes.collect();
        let actions = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": strokes }] });
        self.post("/actions", actions).await.map(drop)
    }

    /// The element that has the focus, by its tag's name.
    pub async fn focused(&self) -> anyhow::Result<String> {
        let element = self.get("/element/active").await?;
        Ok(text(&self.get(&format!("/element/{}/name", text(&element[ELEMENT])?)).await?)?.to_owned())
    }

    async fn element(&self, selector: &str) -> anyhow::Result<String> {
        let found = self.post("/element", json!({ "using": "css selector", "value": selector })).await?;
        Ok(format!("/element/{}", text(&found[ELEMENT])?))
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        call(&self.http, Method::GET, format!("{}{path}", self.session), None).await
    }

    async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        call(&self.http, Method::POST, format!("{}{path}", self.session), Some(body)).await
    }
}

/// Keys that are no letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// To the next element.
    Tab,
    /// Does what the focused element does.
    Enter,
}

impl From<Key> for char {
    /// WebDriver's code.
    fn from(key: Key) -> Self {
        match key {
            Key::Tab => '\u{E004}',
            Key::Enter => '\u{E007}',
        }
    }
}

async fn start_driver() -> anyhow::Result<(Server, String)> {
    let port = free_port()?;
    let mut command = Command::new(find_program("chromedriver", &[])?);
    command.arg(format!("--port={port}"));
    let launch = Launch { name: "chromedriver", command: &mut command, stop_signal: "TERM" };
    let mut driver = Server::start(launch, new_directory("browser")?)?;
    driver.ready(async || Ok(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.map(drop)?)).await?;
    Ok((driver, format!("http://127.0.0.1:{port}")))
}

/// The `value` of what the driver answers.
async fn call(http: &Client, method: Method, url: String, body: Option<Value>) -> anyhow::Result<Value> {
    let asked = format!("{method} {url}");
    let mut request = http.request(method, url);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.with_context(|| asked.clone())?;
    let (status, answer) = (answer.status(), answer.json::<Value>().await?);
    ensure!(status.is_success(), "{asked} was answered {status}: {}", answer["value"]["message"]);
    Ok(answer["value"].clone())
}
