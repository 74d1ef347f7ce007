//! Postfix's `smtp-sink`: a neutral SMTP server without TLS or AUTH that takes mail as fast as it comes, or refuses a
//! command. Its messages are kept only where a test wants to read them: that costs most of its pace.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

use crate::free_port::{free_port, retry_while_ports_are_taken};
use crate::process::{Launch, Server, find_program, new_directory, running_as_root};

/// How the sink behaves. Commands are named as SMTP does, `RCPT` or `DATA`; `.` is the end of a message.
#[derive(Debug, Clone, Copy, Default)]
pub struct SinkBehaviour<'a> {
    /// Keep each message in a file, for [`SmtpSink::messages`].
    pub keep_messages: bool,
    /// Answer these commands with `450 4.3.0`.
    pub refuse_softly: &'a [&'a str],
    /// Answer these commands with `500 5.3.0`.
    pub refuse_for_good: &'a [&'a str],
    /// Close the connection after these commands, without an answer.
    pub hang_up_at: &'a [&'a str],
    /// Don't offer PIPELINING.
    pub without_pipelining: bool,
}

/// A running `smtp-sink`. Dropping it ends it.
#[derive(Debug)]
pub struct SmtpSink {
    server: Server,
    /// Where it listens.
    pub address: SocketAddr,
}

impl SmtpSink {
    /// Starts one that behaves as told.
    pub async fn start(behaviour: SinkBehaviour<'_>) -> anyhow::Result<Self> {
        retry_while_ports_are_taken(async || Self::start_once(behaviour).await).await
    }

    async fn start_once(behaviour: SinkBehaviour<'_>) -> anyhow::Result<Self> {
        let port = free_port()?;
        let directory = new_directory("smtp-sink")?;
        let messages = directory.path().join("messages");
        fs::create_dir(&messages)?;
        // The sink writes as nobody.
        fs::set_permissions(&messages, fs::Permissions::from_mode(0o777))?;
        let mut command = Command::new(find_program("smtp-sink", &[])?);
        command.args(behaviour.arguments());
        if behaviour.keep_messages {
            command.arg("-d").arg(messages.join("message"));
        }
        if running_as_root() {
            command.args(["-u", "nobody"]);
        }
        command.args(["-m", "2000", &format!("127.0.0.1:{port}"), "1024"]);
        let mut server =
            Server::start(Launch { name: "smtp-sink", command: &mut command, stop_signal: "TERM" }, directory)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        server.ready(async || spoken_to(address).await).await?;
        Ok(Self { server, address })
    }

    /// The messages kept so far, in no order, each after the sink's own `X-…-Args` lines that tell the envelope. One
    /// that is still coming in may be incomplete.
    pub fn messages(&self) -> anyhow::Result<Vec<String>> {
        let files = fs::read_dir(self.server.directory().join("messages"))?;
        let paths: Vec<PathBuf> = files.map(|file| Ok(file?.path())).collect::<std::io::Result<_>>()?;
        paths.iter().map(|path| Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())).collect()
    }
}

impl SinkBehaviour<'_> {
    fn arguments(&self) -> Vec<String> {
        // In smtp-sink, r is the soft refusal and f the hard one.
        let lists = [("-r", self.refuse_softly), ("-f", self.refuse_for_good), ("-q", self.hang_up_at)];
        let given = lists.into_iter().filter(|(_, commands)| !commands.is_empty());
        let mut arguments: Vec<String> =
            given.flat_map(|(flag, commands)| [flag.to_owned(), commands.join(",")]).collect();
        if self.without_pipelining {
            arguments.push("-p".to_owned());
        }
        arguments
    }
}

/// Whether the sink does something with a connection: greets it, refuses it or closes it, whatever it was told.
async fn spoken_to(address: SocketAddr) -> anyhow::Result<()> {
    BufReader::new(TcpStream::connect(address).await?).fill_buf().await?;
    Ok(())
}
