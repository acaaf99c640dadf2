//! Doors: every listener's connections, each led to the conversation that its protocol means.

use std::io;
use std::sync::Arc;

use gatepost_protocol::dovecot::master::Role;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{self, Mode, Protocol};
use crate::listen::{Connection, Listener};
use crate::serve::{Gate, dovecot_client, dovecot_dict, dovecot_master, poppassd, postfix};
use crate::web::{Surface, Web};

/// What the conversations need. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Doors {
    pub(super) gate: Arc<Gate>,
    pub(super) web: Web,
}

impl Doors {
    /// Accepts until the daemon stops; the socket is closed then, so that nobody waits for a greeting in vain.
    pub(super) async fn accept(self, listener: Listener, connections: TaskTracker, stop: CancellationToken) {
        let open_to_all = listener.mode().is_some_and(Mode::is_open_to_all);
        let settings = Arc::new(listener.settings().clone());
        loop {
            let connection = tokio::select! {
                connection = listener.accept() => connection,
                () = stop.cancelled() => return,
            };
            let (doors, settings, stop) = (self.clone(), Arc::clone(&settings), stop.clone());
            connections.spawn(async move {
                let peer = *connection.peer();
                if let Err(error) = doors.serve(connection, &settings, open_to_all, stop).await {
                    tracing::debug!(listener = settings.name, %peer, %error, "connection ended");
                }
            });
        }
    }

    /// Which conversation a listener's protocol means.
    async fn serve(
        self,
        connection: Connection,
        settings: &config::Listener,
        open_to_all: bool,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let Self { gate, web } = self;
        let peer = *connection.peer();
        match settings.protocol {
            Protocol::Auth => dovecot_client::serve(connection, peer, dovecot_client::Kind::Auth, gate, stop).await,
            Protocol::Login => dovecot_client::serve(connection, peer, dovecot_client::Kind::Login, gate, stop).await,
            Protocol::Master => dovecot_master::serve(connection, peer, Role::Master, false, gate, stop).await,
            Protocol::Userdb => dovecot_master::serve(connection, peer, Role::Userdb, open_to_all, gate, stop).await,
            Protocol::Dict => dovecot_dict::serve(connection, peer, settings.credentials, gate, stop).await,
            Protocol::Socketmap => postfix::serve(connection, peer, gate, stop).await,
            Protocol::Poppassd => poppassd::serve(connection, peer, gate, stop).await,
            Protocol::Admin => {
                web.serve(connection, Surface::Admin(peer), stop.cancelled_owned()).await;
                Ok(())
            }
            Protocol::Http => {
                web.serve(connection, Surface::Public(peer), stop.cancelled_owned()).await;
                Ok(())
            }
            Protocol::Status => {
                web.serve_status(connection, stop.cancelled_owned()).await;
                Ok(())
            }
            // The configuration takes no listener of it.
            Protocol::Policy => Ok(()),
        }
    }
}
