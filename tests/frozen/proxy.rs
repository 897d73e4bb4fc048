//! A TCP proxy whose connections can be cut.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// How a connection dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The peer resets it.
    Reset,
    /// Nothing arrives any more, and nobody says so.
    Silence,
}

/// A proxy in front of a server. Connections that are opened after a cut work.
pub(super) struct Proxy {
    port: u16,
    cuts: watch::Sender<Option<Cut>>,
    open: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy in front of the server at a URL without a path.
    pub(super) async fn start(url: &str) -> Self {
        let upstream = url.strip_prefix("http://").expect("a URL without TLS").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cuts, cut) = watch::channel(None);
        let open = Arc::new(AtomicUsize::new(0));
        let counter = open.clone();
        let accepting = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let mut cut = cut.clone();
                cut.mark_unchanged();
                let (upstream, counter) = (upstream.clone(), counter.clone());
                tokio::spawn(async move {
                    counter.fetch_add(1, Ordering::Relaxed);
                    carry(client, &upstream, cut).await;
                    counter.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Self { port, cuts, open, accepting }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Cuts all open connections, and returns how many there were.
    pub(super) fn cut(&self, cut: Cut) -> usize {
        self.cuts.send_replace(Some(cut));
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Carries a connection until one side closes it or it is cut.
async fn carry(mut client: TcpStream, upstream: &str, mut cuts: watch::Receiver<Option<Cut>>) {
    let mut server = TcpStream::connect(upstream).await.unwrap();
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let cut = tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => return,
        _ = cuts.changed() => *cuts.borrow(),
    };
    match cut {
        Some(Cut::Reset) => client.set_zero_linger().unwrap(),
        // What the client sends is taken, and never answered.
        Some(Cut::Silence) => drop((server, std::future::pending::<()>().await)),
        None => {}
    }
}
