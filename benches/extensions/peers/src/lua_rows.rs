//! Lua, with the ten lines of the filter and the same regular expressions as Rhai's `matches`. Its state is kept between
//! calls, and so may be what one call leaves in it; the last row pays for a state of its own.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use anyhow::ensure;
use mlua::{Function, Lua, LuaOptions, StdLib, Table, UserData, UserDataFields, Value};
use regex::Regex;

use crate::timed;
use crate::wire::Message;

const FILTER: &str = r#"
function classify(message)
    if string.find(message.subject, "no thanks", 1, true) or matches(message.text, "(?i)^\\s*not interested") then
        return { verdict = "unsubscribe-request", reason = "declined" }
    end
    return { verdict = "human-reply" }
end
return classify
"#;

static PATTERNS: LazyLock<HashMap<&str, Regex>> = LazyLock::new(|| {
    let pattern = r"(?i)^\s*not interested";
    Regex::new(pattern).map(|regex| HashMap::from([(pattern, regex)])).unwrap_or_default()
});

pub(crate) struct Rows {
    lua: Lua,
    classify: Function,
    message: Arc<Message>,
}

struct View(Arc<Message>);

impl UserData for View {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("subject", |lua, view| lua.create_string(&view.0.subject));
        fields.add_field_method_get("text", |lua, view| lua.create_string(&view.0.text));
    }
}

impl Rows {
    pub(crate) fn new(message: &Message) -> anyhow::Result<Self> {
        let (lua, classify) = state()?;
        Ok(Self { lua, classify, message: Arc::new(message.clone()) })
    }

    pub(crate) fn round(&self, row: &str, calls: usize) -> anyhow::Result<Vec<u64>> {
        timed(calls, || match row {
            "userdata" => self.ask(&self.lua, &self.classify),
            "table" => {
                let table = self.table()?;
                decided(self.classify.call(table)?)
            }
            _ => {
                let (lua, classify) = state()?;
                self.ask(&lua, &classify)
            }
        })
    }

    fn ask(&self, lua: &Lua, classify: &Function) -> anyhow::Result<()> {
        let view = lua.create_userdata(View(Arc::clone(&self.message)))?;
        decided(classify.call(view)?)
    }

    /// Every field, as a script may look at any.
    fn table(&self) -> anyhow::Result<Table> {
        let (lua, message) = (&self.lua, &self.message);
        let table = lua.create_table()?;
        let headers = lua.create_table()?;
        for (index, header) in message.headers.iter().enumerate() {
            let one = lua.create_table()?;
            one.raw_set("name", header.name.as_str())?;
            one.raw_set("value", header.value.as_str())?;
            headers.raw_set(index + 1, one)?;
        }
        table.raw_set("headers", headers)?;
        table.raw_set("raw_headers", message.raw_headers.as_str())?;
        table.raw_set("sender", message.sender.as_deref())?;
        table.raw_set("return_path", message.return_path.as_deref())?;
        table.raw_set("recipients", message.recipients.clone())?;
        table.raw_set("subject", message.subject.as_str())?;
        table.raw_set("text", message.text.as_str())?;
        table.raw_set("our_message_ids", message.our_message_ids.clone())?;
        table.raw_set("received_at", message.received_at.as_str())?;
        Ok(table)
    }
}

fn state() -> anyhow::Result<(Lua, Function)> {
    let lua = Lua::new_with(StdLib::STRING | StdLib::TABLE | StdLib::JIT, LuaOptions::default())?;
    let matches = lua.create_function(|_, (text, pattern): (mlua::LuaString, mlua::LuaString)| {
        let (text, pattern) = (text.to_str()?, pattern.to_str()?);
        Ok(PATTERNS.get(&*pattern).is_some_and(|regex| regex.is_match(&text)))
    })?;
    lua.globals().set("matches", matches)?;
    let classify = lua.load(FILTER).eval()?;
    Ok((lua, classify))
}

fn decided(answer: Value) -> anyhow::Result<()> {
    let Value::Table(answer) = answer else { anyhow::bail!("the answer is no table") };
    let verdict: String = answer.get("verdict")?;
    ensure!(verdict == "human-reply", "{verdict}");
    Ok(())
}
