//! An address that is taken at once and listened to later: two servers must not have the same one, and nobody should be
//! heard, a load balancer least of all, while the database is still being migrated.

use std::io;
use std::net::SocketAddr;

use anyhow::anyhow;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that wait to be taken.
const BACKLOG: u32 = 1024;

/// Who connects is refused until [`Place::listen`].
pub(super) struct Place {
    socket: TcpSocket,
    address: SocketAddr,
    setting: &'static str,
}

impl Place {
    /// Takes the address of a setting. A port of 0 is given by the system.
    pub(super) fn take(address: SocketAddr, setting: &'static str) -> anyhow::Result<Self> {
        let taken = (|| -> io::Result<Self> {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // Connections of a server that has just ended must not keep the next one waiting.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let address = socket.local_addr()?;
            Ok(Self { socket, address, setting })
        })();
        taken.map_err(|error| unusable(setting, address, &error))
    }

    /// Where it is.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Hears who connects from now on.
    pub(super) fn listen(self) -> anyhow::Result<TcpListener> {
        let Self { socket, address, setting } = self;
        // Of two that took it at once, before either listened, the second is refused here.
        socket.listen(BACKLOG).map_err(|error| unusable(setting, address, &error))
    }
}

fn unusable(setting: &str, address: SocketAddr, error: &io::Error) -> anyhow::Error {
    anyhow!("{setting} = {address} can't be used: {error}; stop what listens there or set another")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "it plays the client")]
    async fn nobody_is_heard_before_it_listens_and_nobody_else_may_have_it() {
        let place = Place::take("127.0.0.1:0".parse().unwrap(), "listen").unwrap();
        let address = place.address();
        let connect = || tokio::net::TcpStream::connect(address);
        assert_eq!(connect().await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let _listener = place.listen().unwrap();
        connect().await.unwrap();
        let refused = Place::take(address, "metrics_listen").err().unwrap().to_string();
        assert!(refused.starts_with(&format!("metrics_listen = {address} can't be used: ")), "{refused}");
    }
}
