//! Ports of 127.0.0.1 for the servers. The kernel names a free one, which another process may take before our server
//! binds it: [`retry_while_ports_are_taken`] then starts the server again on others.

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::Mutex;

/// How often a server is started anew because its ports were taken meanwhile.
const STARTS: usize = 5;
/// How many ports are looked at until one is free for TCP and UDP.
const LOOKS: usize = 100;

/// The reason for starting a server once more on other ports.
#[derive(Debug, thiserror::Error)]
#[error("{server} found its port taken")]
pub(crate) struct PortTaken {
    /// The server's name.
    pub(crate) server: &'static str,
}

/// A port that is free for TCP and UDP now and that this process has handed to nobody else.
pub fn free_port() -> io::Result<u16> {
    static HANDED_OUT: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    for _ in 0..LOOKS {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        if UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
            continue;
        }
        let mut handed_out = HANDED_OUT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if handed_out.get_or_insert_default().insert(port) {
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no free port on 127.0.0.1"))
}

/// Runs `start` until it fails for another reason than [`PortTaken`], at most five times. `start` asks for new ports
/// each time.
pub(crate) async fn retry_while_ports_are_taken<T>(start: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    for _ in 1..STARTS {
        match start().await {
            Err(error) if error.is::<PortTaken>() => continue,
            outcome => return outcome,
        }
    }
    start().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_handed_out_twice() {
        let ports: HashSet<u16> = (0..200).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 200);
    }

    #[tokio::test]
    async fn a_taken_port_is_tried_again_and_any_other_failure_is_told_at_once() {
        let starts = std::cell::Cell::new(0);
        let second = retry_while_ports_are_taken(async || {
            starts.set(starts.get() + 1);
            if starts.get() == 1 { Err(PortTaken { server: "nsd" }.into()) } else { Ok(starts.get()) }
        });
        assert_eq!(second.await.unwrap(), 2);
        let broken = retry_while_ports_are_taken(async || {
            starts.set(starts.get() + 1);
            Err::<(), _>(anyhow::anyhow!("no such file"))
        });
        assert_eq!(broken.await.unwrap_err().to_string(), "no such file");
        assert_eq!(starts.get(), 3);
    }
}
